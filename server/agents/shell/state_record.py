"""What a shell writes down at its end for the one after it: its folder, its variables, and what else it leaves.

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

# `command -p` finds cat and env whatever PATH has become; sh without bash has no `compgen`, but `set` names variables.
# All of the script before the command is one line, since a shell counts the lines of the command from there.
_STATE = "$- ${SHELLOPTS-}:${BASHOPTS-} $(umask) ${IFS-unset}"
_RECORD = (
    f'printf "%s\\0%s\\0" "$remit_state" "{_STATE}"; set +eux; command pwd -L; printf "\\0"; '
    'jobs -r -p || jobs -p; printf "\\0"; declare -F; printf "\\0"; alias; printf "\\0"; compgen -v || set; '
    'printf "\\0"; command -p cat "/proc/$$/environ"; printf "end\\0"; command -p env -0 && printf "end\\0"'
)
RECORDED = (
    f"remit_state=\"{_STATE}\"; remit_record='{{ {_RECORD}; }} 1<>/proc/self/fd/{ATTACHED}'; "
    "trap '{ case $? in 0) eval \"${remit_record-}\";; esac; } 2>/dev/null' EXIT; "
    'eval "set --; $2"; '
    '{ remit_status=$?; command trap - DEBUG; case $remit_status in 0) eval "$remit_record";; esac; set +x; '
    "unset remit_record; } 2>/dev/null; exit $remit_status"
)
"""The shell script that runs the command "$2", and then writes the record where the command has succeeded."""

_LETTERS = {"e": "errexit", "f": "noglob", "u": "nounset", "v": "verbose", "x": "xtrace"}


@dataclass(frozen=True, slots=True)
class StateRecord:
    """What a shell has written at its end."""

    folder: str | None
    """None where its name is no text."""

    before: Mapping[str, str | None]
    after: Mapping[str, str | None]
    """Exported variables; None for a value that is no text."""

    plain: frozenset[str]
    """All variables of the shell, exported or not."""

    left: tuple[str, ...]
    """What else of it has ended with it, in words for a person."""


def read(record: bytes) -> StateRecord | None:
    """What is written in a record; None where nothing is, or not all of it, or what no shell of ours writes."""
    started, ended, folder, jobs, functions, aliases, names, *rest = [*record.split(b"\0"), *[b""] * 6]
    if rest.count(b"end") < 2:
        return None
    middle = rest.index(b"end")
    before, after = rest[:middle], rest[middle + 1 : rest.index(b"end", middle + 1)]
    path = _text(folder.removesuffix(b"\n"))
    if not before:
        return None
    there = path if path and path.startswith("/") and len(path) < PATH_MAX else None
    left = (
        *_settings(started.decode(errors="replace"), ended.decode(errors="replace")),
        *_some("aliases", _names(aliases, rb"^(?:alias )?([\w.-]+)=")),
        *_some("functions", _names(functions, rb"^declare -f\w* (\S+)$")),
        *_processes(len(jobs.split())),
    )
    return StateRecord(
        there, _variables(before), _variables(after), frozenset(_names(names, rb"^([A-Za-z_]\w*)(?:=|$)")), left
    )


def _settings(started: str, ended: str) -> list[str]:
    """What of the shell itself has changed between two states of it."""
    was, now = ((*state.split(" ", 3), "", "", "")[:4] for state in (started, ended))
    letters = sorted({*was[0]} ^ {*now[0]})
    named = {_LETTERS.get(letter) for letter in letters}
    options = [f"-{letter}" for letter in letters if letter in _LETTERS]
    options += sorted(({*was[1].split(":")} ^ {*now[1].split(":")}) - named - {""})
    umask, separators = was[2] != now[2], was[3] != now[3]
    return [*_some("shell options", options), *["umask"] * umask, *["IFS"] * separators]


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


def _some(what: str, names: Sequence[str]) -> list[str]:
    shown = ", ".join(name[:50] for name in names[:10])
    return [f"{what} ({shown}{' …' if len(names) > 10 else ''})"] if names else []
