"""Record that a shell writes at its end for the next one: its folder, its variables, and what else it leaves.

It writes into memory that the server reads. What stands there is an adversary's: it is taken for text, bounded, and
checked.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.limits import PATH_MAX
from server.runner.policy import ATTACHED

RECORD_BYTES = 512 * 1024
"""For the environment at the start and at the end, twice what a task may have, and all that is carried."""

LONGEST_NAME = 50
"""Characters of a name, of a variable for instance, as it is shown in a warning."""

_DESCRIPTORS = " ".join(f'"/proc/{"$$" if number < 3 else "self"}/fd/{number}"' for number in range(10))
"""Those that a command redirects by `exec`. From 10 on they are the shell's own.

A program in a command substitution has those from 3 on as its shell has them, but none of the shell's own.
"""

PRINTED = {
    "traps": "trap",
    "umask": "umask",
    "ulimit": "ulimit -a",
    "redirections (exec)": f"command -p readlink {_DESCRIPTORS} 2>/dev/null || :",
}
"""The state of a shell that a command may change, in words for a person, and the command that prints it."""

_OUR_TRAP = b"remit_record"
"""Text by which remit's own trap is known in the output of `trap`."""

_OPTIONS = "$- ${SHELLOPTS-}:${BASHOPTS-} ${IFS-unset}"
_BEFORE, (_TRAPS, *_OTHERS, _LINKS) = (
    [f'remit_{moment}_{number}="$({command})"' for number, command in enumerate(PRINTED.values())]
    for moment in ("before", "after")
)
_BOTH = " ".join(f'"$remit_before_{number}" "$remit_after_{number}"' for number in range(len(PRINTED)))

# `command -p` finds cat and env whatever PATH has become; sh without bash has no `compgen`, but `set` names variables.
# A function that exits has arguments of its own, which are no others' (FUNCNAME).
# All of the script before the command is one line, since a shell counts the lines of the command from there.
_WRITE = (
    f'printf "%s\\0" "$remit_options" "$remit_changed" {_BOTH} "${{FUNCNAME+0}}$#"; command pwd -L; printf "\\0"; '
    'jobs -r -p || jobs -p; printf "\\0"; declare -F; printf "\\0"; alias; printf "\\0"; '
    'compgen -A arrayvar; printf "\\0"; compgen -v || set; printf "\\0"; '
    'command -p cat "/proc/$$/environ"; printf "end\\0"; command -p env -0 && printf "end\\0"'
)
_RECORD = f"{_LINKS}; {{ {_WRITE}; }} 1<>/proc/self/fd/{ATTACHED} 2>/dev/null"
"""Looks at the descriptors before it redirects any."""

_FINISH = (
    f'{{ remit_status=$?; remit_changed="{_OPTIONS}"; case ${{remit_record+x}} in x) set +eux; '
    f"{_TRAPS}; command trap - DEBUG; {'; '.join(_OTHERS)};; esac; }} 2>/dev/null; "
    'case $remit_status in 0) eval "${remit_record-}";; esac; unset remit_record'
)
"""Writes the record after a command that has succeeded, once, and in silence where the command has said `set -x`."""

RECORDED = (
    f"remit_record='{_RECORD}'; trap '{_FINISH}' EXIT; "
    f'remit_options="{_OPTIONS}"; {"; ".join(_BEFORE)}; eval "set --; $2"; {_FINISH}; exit "$remit_status"'
)
"""The shell script that runs the command "$2", and then writes the record where the command has succeeded."""

_LETTERS = {"e": "errexit", "f": "noglob", "u": "nounset", "v": "verbose", "x": "xtrace"}


@dataclass(frozen=True, slots=True)
class StateRecord:
    """The record that a shell has written at its end."""

    folder: str | None
    """None where its name is no text."""

    before: Mapping[str, str | None]
    after: Mapping[str, str | None]
    """Exported variables; None for a value that is no text."""

    plain: frozenset[str]
    """All variables of the shell, exported or not."""

    arrays: frozenset[str]

    left: tuple[str, ...]
    """The other state that ended with the shell, in words for a person."""


def read(record: bytes) -> StateRecord | None:
    """Parse a record. Returns None if it is empty or incomplete, or if `RECORDED` did not write it."""
    fields = record.split(b"\0")
    options, printed = fields[:2], fields[2 : 2 + 2 * len(PRINTED)]
    number, folder, jobs, functions, aliases, arrays, names, *rest = [*fields[2 + len(printed) :], *[b""] * 8]
    if rest.count(b"end") < 2:
        return None
    middle = rest.index(b"end")
    before, after = rest[:middle], rest[middle + 1 : rest.index(b"end", middle + 1)]
    path = _text(folder.removesuffix(b"\n"))
    if not before:
        return None
    there = path if path and path.startswith("/") and len(path) < PATH_MAX else None
    left = (
        *_options(*(option.decode(errors="replace") for option in options)),
        *_changes(printed),
        *["arguments ($1 …)"] * (not number.startswith(b"0")),
        *_some("aliases", _names(aliases, rb"^(?:alias )?([\w.-]+)=")),
        *_some("functions", _names(functions, rb"^declare -f\w* (\S+)$")),
        *_processes(len(jobs.split())),
    )
    return StateRecord(
        there,
        _variables(before),
        _variables(after),
        frozenset(_names(names, rb"^([A-Za-z_]\w*)(?:=|$)")),
        frozenset(_names(arrays, rb"^(\w+)$")),
        left,
    )


def _options(started: str, ended: str) -> list[str]:
    """Return the options and separators of the shell that have changed."""
    was, now = ((*state.split(" ", 2), "", "")[:3] for state in (started, ended))
    letters = sorted({*was[0]} ^ {*now[0]})
    named = {_LETTERS.get(letter) for letter in letters}
    options = [f"-{letter}" for letter in letters if letter in _LETTERS]
    options += sorted(({*was[1].split(":")} ^ {*now[1].split(":")}) - named - {""})
    return [*_some("shell options", options), *["IFS"] * (was[2] != now[2])]


def _changes(printed: Sequence[bytes]) -> list[str]:
    """Return the names of what was printed differently after the command."""
    pairs = zip(PRINTED, printed[::2], printed[1::2], strict=True)
    return [words for words, before, after in pairs if _without_ours(before) != _without_ours(after)]


def _without_ours(printed: bytes) -> list[bytes]:
    return [line for line in printed.split(b"\n") if _OUR_TRAP not in line]


def _processes(count: int) -> list[str]:
    several = count > 1
    said = f"{count} process{'es' * several} in the background, which {'were' if several else 'was'} ended"
    return [said] if count else []


def _variables(entries: Sequence[bytes]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for entry in entries:
        name, separator, value = entry.partition(b"=")
        if separator and (text := _text(name)) is not None:
            found[text] = _text(value)
    return found


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _names(lines: bytes, pattern: bytes) -> list[str]:
    return [name.decode(errors="replace") for name in re.findall(pattern, lines, re.MULTILINE)]


def shown_name(name: str) -> str:
    """Return a name for a warning. A long one is not cut: what was left of a secret in it could not be masked."""
    return name if len(name) <= LONGEST_NAME else f"with a name of {len(name)} characters"


def _some(what: str, names: Sequence[str]) -> list[str]:
    shown = ", ".join(map(shown_name, names[:10]))
    return [f"{what} ({shown}{' …' if len(names) > 10 else ''})"] if names else []
