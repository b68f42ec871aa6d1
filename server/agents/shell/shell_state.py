"""State carried on from one command to the next: the folder and the exported variables, as data.

Each command runs in a shell of its own, whose record tells where it has ended and what its variables were then.
"""

import re
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.agents.shell.state_record import RECORDED, StateRecord
from server.runner.host_paths import SEARCH_PATH
from templates.steps import Steps

MOST = 64 * 1024
"""Bytes of names and values that are carried on, together: as many as a task may have of its own."""

MOST_VARIABLES = 500
"""Variables that are carried on: more than any environment of a person has. Each is searched for secrets, in 0.1 ms."""

MISSING_FOLDER = "remit: the folder that the command before has left is not there any more, so nothing was run: "

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELLS_OWN = frozenset({"PWD", "SHLVL", "_", "SHELLOPTS", "BASHOPTS", "BASH_XTRACEFD"})
PREVIOUS = "OLDPWD"
"""The variable with the target of `cd -`. It is carried on like any other, but set again after remit's own `cd`."""

_ALONE = 'exec "$3" -c "$2"'

Secret = Callable[[str], Steps[str | None]]
"""Finds, in steps, the name of the secret that a text contains, if it contains one."""


@dataclass(frozen=True, slots=True)
class ShellState:
    """The state that the commands so far leave to the next one."""

    folder: str | None = None
    """None for the one that the task works in."""

    variables: Mapping[str, str | None] = field(default_factory=dict)
    """The variables that they have changed; None for one that was unset."""

    lost: Mapping[str, str] = field(default_factory=dict)
    """Variables that a later command reads, and that are not carried on: why, in words for a person."""

    @property
    def args(self) -> dict[str, Any]:
        """The arguments that show this state to a person who decides about the command."""
        folder = {} if self.folder is None else {"folder": self.folder}
        return folder | ({"variables": dict(self.variables)} if self.variables else {})

    def shown(self) -> dict[str, Any]:
        """Return the state as JSON."""
        return {"folder": self.folder, "variables": dict(self.variables), "lost": dict(self.lost)}

    @classmethod
    def of(cls, shown: Mapping[str, Any]) -> "ShellState":
        """Return the state that `shown` returned as JSON."""
        return cls(shown["folder"], shown["variables"], shown["lost"])


def shell() -> str:
    """Return the shell that runs commands: bash if it is installed, else sh."""
    return shutil.which("bash", path=SEARCH_PATH) or "/bin/sh"


def argv(command: str, state: ShellState, *, recorded: bool) -> tuple[str, ...]:
    """Return the command line that starts from the state of the command before; it records its own if `recorded`."""
    gone = sorted(name for name, value in state.variables.items() if value is None)
    if not recorded and state.folder is None and not gone:
        return (shell(), "-c", command)
    enter = "" if state.folder is None else _enter(state.variables.get(PREVIOUS))
    forget = f"unset {' '.join(gone)}; " if gone else ""
    script = enter + forget + (RECORDED if recorded else _ALONE)
    previous = state.variables.get(PREVIOUS) or ""
    return (shell(), "-c", script, "bash", state.folder or "", command, shell(), previous)


def _enter(previous: str | None) -> str:
    cd = f'cd -- "$1" 2>/dev/null || {{ printf "%s%s\\n" "{MISSING_FOLDER}" "$1"; exit 1; }}; '
    return cd + (f"unset {PREVIOUS}; " if previous is None else f'{PREVIOUS}="$4"; ')


def after(
    state: ShellState, record: StateRecord, start: str, secret: Secret, wanted: Collection[str]
) -> Steps[tuple[ShellState, Mapping[str, str]]]:
    """Compute, in steps, the state for the next command from the last one's record, and the variables left out.

    `start` is the folder that commands start in, without links; `wanted` are the variables that later commands read.
    """
    changed = _changed(record)
    kept = _bounded({**state.variables, **changed})
    dropped: dict[str, str] = {}
    for name in changed:
        if why := (yield from _refusal(name, changed, kept, record, secret)):
            dropped[name] = why
    # A program is not to find the value that such a variable had before.
    stale = _bounded(dict.fromkeys(dropped.keys() & record.before.keys()))
    variables = {name: value for name, value in kept.items() if name not in dropped} | stale
    lost = {name: why for name, why in {**state.lost, **_plain(record)}.items() if name not in changed} | dropped
    folder = None if record.folder == start else record.folder
    return ShellState(folder, variables, {name: lost[name] for name in lost.keys() & {*wanted}}), dropped


def _changed(record: StateRecord) -> dict[str, str | None]:
    """Return the exported variables that a command has changed; None for one that was unset, or is no text."""
    before, now = record.before, record.after
    names = sorted(name for name in {*before, *now} - _SHELLS_OWN if before.get(name, ...) != now.get(name, ...))
    return {name: now.get(name) for name in names if _NAME.fullmatch(name) and not name.startswith("remit_")}


def _refusal(
    name: str, changed: Mapping[str, str | None], kept: Collection[str], record: StateRecord, secret: Secret
) -> Steps[str | None]:
    """Find, in steps, why a variable is not carried on, if it is not."""
    value = changed[name]
    if name not in kept:
        return f"what is carried on may be {MOST_VARIABLES} variables with {MOST} bytes in all"
    if value is None:
        return "its value is no text" if name in record.after else None
    held = yield from secret(f"{name}={value}")
    return None if held is None else f"its value contains {f'the secret {held}' if held else 'a secret'}"


def _plain(record: StateRecord) -> dict[str, str]:
    names = (name for name in record.plain - record.after.keys() if not _is_shells_own(name))
    return {name: _unexported(name, record.arrays) for name in names}


def _unexported(name: str, arrays: Collection[str]) -> str:
    if name in arrays:
        return "it is an array, which cannot be exported"
    return f"it was set without export: write `export {name}=…`"


def _bounded(variables: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return as many variables as fit, the smallest first."""
    room = MOST
    kept: dict[str, str | None] = {}
    for name, value in sorted(variables.items(), key=lambda item: len(item[0]) + len(item[1] or ""))[:MOST_VARIABLES]:
        room -= len(name.encode()) + len((value or "").encode())
        if room >= 0:
            kept[name] = value
    return kept


def _is_shells_own(name: str) -> bool:
    """Return whether this is a variable of bash's own or of remit's script, by its name or prefix."""
    return name.startswith(("BASH", "COMP_", "remit_")) or name in _BASHS_OWN


_BASHS_OWN = (
    _SHELLS_OWN
    | {PREVIOUS}
    | set(
        """
    COLUMNS DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID FUNCNAME GROUPS HISTCMD HOSTNAME HOSTTYPE IFS LINENO LINES MACHTYPE
    MAILCHECK OPTARG OPTERR OPTIND OSTYPE PATH PIPESTATUS PPID PS1 PS2 PS4 RANDOM SECONDS SHELL SRANDOM TERM UID
    """.split()
    )
)
