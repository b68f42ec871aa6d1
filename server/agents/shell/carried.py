"""What carries on from one command to the next: the folder and the exported variables, as data.

Each command runs in a shell of its own, which writes at its end where it is and what its variables are into memory
that the server reads. What stands there is an adversary's: it is taken for text, bounded, and checked.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.runner.policy import ATTACHED
from server.runner.system import SEARCH_PATH

MOST = 64 * 1024
"""Bytes of names and values that are carried on, together: as many as a task may have of its own."""

RECORD_BYTES = 512 * 1024
"""For the environment at the start and at the end, twice what a task may have, and all that is carried."""

MISSING_FOLDER = "remit: the folder that the command before has left is not there any more, so nothing was run: "

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELLS_OWN = frozenset({"PWD", "OLDPWD", "SHLVL", "_", "SHELLOPTS", "BASHOPTS", "BASH_XTRACEFD"})
_RECORD = (
    'printf "%s\\0" "$-"; set +eux; command pwd -P; printf "\\0"; jobs -p; printf "\\0"; declare -F; printf "\\0"; '
    'alias; printf "\\0"; compgen -v; printf "\\0"; /usr/bin/cat "/proc/$$/environ"; printf "end\\0"; '
    '/usr/bin/env -0 && printf "end\\0"'
)
_RECORDED = (
    f"remit_record='{{ {_RECORD}; }} 1<>/proc/self/fd/{ATTACHED}'; "
    "trap '{ case $? in 0) eval \"${remit_record-}\";; esac; } 2>/dev/null' EXIT; "
    'eval "set --; $2"; '
    '{ remit_status=$?; case $remit_status in 0) eval "$remit_record";; esac; set +x; unset remit_record; } '
    "2>/dev/null; exit $remit_status"
)
_ALONE = 'exec "$3" -c "$2"'

Secret = Callable[[str], str | None]
"""The name of the secret that a text contains, if it contains one."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What the commands so far have left for the next one."""

    folder: str | None = None
    """None for the one that the task works in."""

    variables: Mapping[str, str | None] = field(default_factory=dict)
    """What they have changed; None for a variable that is gone."""

    lost: Mapping[str, str] = field(default_factory=dict)
    """Variables that they have set and that are not carried on: why, in words for a person."""

    @property
    def args(self) -> dict[str, Any]:
        """What of it a command is given, as a person who decides about the command is to see it."""
        folder = {} if self.folder is None else {"folder": self.folder}
        return folder | ({"variables": dict(self.variables)} if self.variables else {})

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        return {"folder": self.folder, "variables": dict(self.variables), "lost": dict(self.lost)}

    @classmethod
    def of(cls, shown: Mapping[str, Any]) -> "Carried":
        """As it was shown."""
        return cls(shown["folder"], shown["variables"], shown["lost"])


@dataclass(frozen=True, slots=True)
class Record:
    """What a shell has written at its end."""

    folder: str | None
    """None where it is not there any more, or its name is no text."""

    before: Mapping[str, str | None]
    after: Mapping[str, str | None]
    """Exported variables; None for a value that is no text."""

    plain: frozenset[str]
    """All variables of the shell, exported or not."""

    left: tuple[str, ...]
    """What else of it has ended with it, in words for a person."""


def shell() -> str:
    """The shell that commands are run by: bash where there is one."""
    return shutil.which("bash", path=SEARCH_PATH) or "/bin/sh"


def argv(command: str, carried: Carried, *, recorded: bool) -> tuple[str, ...]:
    """The command line that runs a command where the one before has left off, and writes down what it leaves."""
    gone = sorted(name for name, value in carried.variables.items() if value is None)
    if not recorded and carried.folder is None and not gone:
        return (shell(), "-c", command)
    enter = (
        ""
        if carried.folder is None
        else f'cd -- "$1" 2>/dev/null || {{ printf "%s%s\\n" "{MISSING_FOLDER}" "$1"; exit 1; }}; '
    )
    forget = f"unset {' '.join(gone)}; " if gone else ""
    script = enter + forget + (_RECORDED if recorded else _ALONE)
    return (shell(), "-c", script, "bash", carried.folder or "", command, shell())


def read(record: bytes) -> Record | None:
    """What is written in a record; None where nothing is, or not all of it, or what no shell of ours writes."""
    options, folder, jobs, functions, aliases, names, *rest = record.split(b"\0")
    if rest.count(b"end") < 2:
        return None
    middle = rest.index(b"end")
    before, after = rest[:middle], rest[middle + 1 : rest.index(b"end", middle + 1)]
    path = _text(folder.removesuffix(b"\n"))
    if not before:
        return None
    left = [
        *_some("shell options", [f"-{letter}" for letter in "efuvx" if letter in options.decode(errors="replace")]),
        *_some("aliases", _names(aliases, rb"^(?:alias )?([\w.-]+)=")),
        *_some("functions", _names(functions, rb"^declare -f\w* (\S+)$")),
    ]
    if count := len(jobs.split()):
        left.append(
            f"{count} process{'es' * (count > 1)} in the background, which {'were' if count > 1 else 'was'} ended"
        )
    there = path if path and path.startswith("/") else None
    return Record(there, _variables(before), _variables(after), frozenset(_names(names, rb"^(\w+)$")), tuple(left))


def after(carried: Carried, record: Record, start: str, secret: Secret) -> Carried:
    """What the next command is to have after one has left this record, whose folder is there.

    `start` is the folder that commands start in, without links.
    """
    variables, lost = dict(carried.variables), dict(carried.lost)
    for name in sorted({*record.before, *record.after} - _SHELLS_OWN):
        if record.after.get(name, ...) == record.before.get(name, ...) or not _NAME.fullmatch(name):
            continue
        variables.pop(name, None)
        lost.pop(name, None)
        if name not in record.after:
            variables[name] = None
        elif (value := record.after[name]) is None:
            lost[name] = "its value is no text"
        elif (held := secret(f"{name}={value}")) is not None:
            lost[name] = f"its value contains {f'the secret {held}' if held else 'a secret'}, and such are not kept"
        else:
            variables[name] = value
    for name in record.plain - record.after.keys():
        if not _is_shells_own(name):
            lost[name] = f"it was set without export: write `export {name}=…`"
    folder = None if record.folder == start else record.folder
    return Carried(folder, _bounded(variables, lost), lost)


def uses(command: str, lost: Iterable[str]) -> str | None:
    """The first of these variables that a command reads and does not set itself."""
    quoted = re.sub(r"'[^']*'", "''", command)
    for name in lost:
        mentioned = len(re.findall(rf"(?<![A-Za-z0-9_]){name}(?![A-Za-z0-9_])", quoted))
        read = len(re.findall(rf"\$\{{?[#!]?{name}(?![A-Za-z0-9_])", quoted))
        if read and read == mentioned:
            return name
    return None


def _bounded(variables: dict[str, str | None], lost: dict[str, str]) -> dict[str, str | None]:
    """As many as fit, the smallest first; the others are lost."""
    room = MOST
    kept: dict[str, str | None] = {}
    for name, value in sorted(variables.items(), key=lambda item: len(item[1] or "")):
        room -= len(name.encode()) + len((value or "").encode())
        if room < 0:
            lost[name] = f"what is carried on may have {MOST} bytes in all"
        else:
            kept[name] = value
    return kept


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


def _is_shells_own(name: str) -> bool:
    """Whether bash has this variable by itself: all of these are in capitals, or begin so."""
    return name.startswith(("BASH", "COMP_", "remit_")) or name in _BASHS_OWN


_BASHS_OWN = _SHELLS_OWN | set(
    """
    COLUMNS DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID FUNCNAME GROUPS HISTCMD HOSTNAME HOSTTYPE IFS LINENO LINES MACHTYPE
    MAILCHECK OPTARG OPTERR OPTIND OSTYPE PATH PIPESTATUS PPID PS1 PS2 PS4 RANDOM REPLY SECONDS SHELL SRANDOM TERM UID
    """.split()
)
