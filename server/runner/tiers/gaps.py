"""Gaps of the tiers, things they do not protect against: one sentence each, and the machines with that gap."""

import os
from collections.abc import Iterator, Mapping
from enum import StrEnum

from server.runner.tiers import landlock

LOCKS_GAP = "A command can lock (flock) files that it may only read, and so hold up programs that wait for those locks."
OWN_FOLDER_GAP = (
    "The folder of a task's own, in the state folder, is not looked at after a command: your own git, or an editor, "
    "would execute there what the task has left for it; `remit artifacts` only reads."
)


class Machines(StrEnum):
    """The machines on which something is a gap, in the words of SECURITY.md."""

    ALL = "yes"
    AS_ROOT = "as root"
    OLD_LINUX = "before Linux 6.12"


Gaps = Mapping[str, Machines]
"""Gaps by their sentence."""


def here(gaps: Gaps) -> Iterator[str]:
    """Yield those that are gaps on this machine."""
    machines = _machines()
    yield from (gap for gap, where in gaps.items() if where in machines)


def _machines() -> set[Machines]:
    root = {Machines.AS_ROOT} if os.geteuid() == 0 else set()
    old = {Machines.OLD_LINUX} if landlock.abi() < landlock.SCOPES_ABI else set()
    return {Machines.ALL, *root, *old}
