"""The control group of one command: if groups were delegated to this server, the kernel enforces limits on a tree.

Both versions are used where they are found: version 2 (`/sys/fs/cgroup`, delegated by a service manager or a
container), and the hierarchies of version 1, which only root may use. The files are described in the kernel's
admin-guide/cgroup-v2.rst and admin-guide/cgroup-v1.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from time import monotonic, sleep
from typing import Literal

from server.runner.policy import Limits

_log = logging.getLogger(__name__)

Feature = Literal["processes", "memory", "kernel memory", "processor time", "end"]

OWN_PROCESSES = 2  # bubblewrap and its init, or the supervisors: in the group, but not of the command
REMOVE_SECONDS = 1.0  # for a group to become empty after its processes were killed


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A limit that a hierarchy can enforce on a group, and the files for it."""

    feature: Feature
    name: str | None = None
    """The kernel's name of the controller; None for features of every group of version 2."""

    settings: Callable[[Limits], Mapping[str, int]] = lambda _: {}
    """The value to write to each file. Missing files are skipped, such as those for swap if it is not accounted."""

    hits: tuple[str, str] | None = None
    """The file and the key in it that count how often the limit was hit."""

    usage: tuple[str, str | None, float] | None = None
    """The file, the key in it (None: the file is one number), and the factor to bytes or seconds."""


_PIDS = Controller(
    feature="processes",
    name="pids",
    settings=lambda limits: {"pids.max": limits.processes + OWN_PROCESSES},
    hits=("pids.events", "max"),
)

CONTROLLERS = {
    2: (
        _PIDS,
        Controller(
            feature="memory",
            name="memory",
            settings=lambda limits: {
                "memory.max": limits.memory_bytes,
                "memory.swap.max": 0,
                "memory.oom.group": 1,
            },
            hits=("memory.events", "oom_kill"),
            usage=("memory.current", None, 1),
        ),
        Controller(feature="processor time", usage=("cpu.stat", "usage_usec", 1e-6)),
        Controller(feature="end"),
    ),
    1: (
        _PIDS,
        Controller(
            feature="memory",
            name="memory",
            settings=lambda limits: {
                "memory.limit_in_bytes": limits.memory_bytes,
                "memory.memsw.limit_in_bytes": limits.memory_bytes,
            },
            hits=("memory.oom_control", "oom_kill"),
            usage=("memory.usage_in_bytes", None, 1),
        ),
        Controller(feature="processor time", name="cpuacct", usage=("cpuacct.usage", None, 1e-9)),
    ),
}

KILL = "cgroup.kill"
"""The file of version 2 that kills every process of a group."""


@dataclass(frozen=True, slots=True)
class DelegatedGroup:
    """A control group in which this server may make child groups, with their usable controllers."""

    folder: Path
    controllers: tuple[Controller, ...]

    @property
    def features(self) -> frozenset[Feature]:
        """The limits that child groups enforce."""
        return frozenset(controller.feature for controller in self.controllers)


class ControlGroup:
    """The control group of one command with every process that it starts: one group in each used hierarchy."""

    def __init__(self, delegations: tuple[DelegatedGroup, ...], name: str, limits: Limits) -> None:
        """Make the groups and set their limits. Raises OSError, after removing what was made."""
        self._parts = {delegation.folder / name: delegation.controllers for delegation in delegations}
        try:
            for folder, controllers in self._parts.items():
                folder.mkdir()
                for controller in controllers:
                    _set(folder, controller.settings(limits))
        except OSError:
            self.remove()
            raise

    @property
    def features(self) -> frozenset[Feature]:
        """The limits that it enforces."""
        return frozenset(controller.feature for each in self._parts.values() for controller in each)

    def add(self, pid: int) -> None:
        """Move a process into the group, which its later children inherit. Raises OSError.

        A process that is already in it is not moved: every move blocks all forks of this machine for milliseconds.
        """
        for folder in self._parts:
            members = folder / "cgroup.procs"
            if str(pid) not in members.read_text().split():
                members.write_text(str(pid))

    def was_hit(self, feature: Feature) -> bool:
        """Return whether the group has hit this limit."""
        hits = [(folder, controller.hits) for folder, controller in self._each(feature) if controller.hits]
        return any(_number(folder / file, key) for folder, (file, key) in hits)

    def usage(self, feature: Feature) -> float:
        """Return seconds of processor time, of ended processes too, or bytes of memory."""
        usage = [(folder, controller.usage) for folder, controller in self._each(feature) if controller.usage]
        return sum(_number(folder / file, key) * unit for folder, (file, key, unit) in usage)

    def kill(self) -> None:
        """Kill every process in it, in groups of version 2; do nothing in version 1."""
        for folder in self._parts:
            with suppress(OSError):
                (folder / KILL).write_text("1")

    def vanishes(self) -> bool:
        """Remove the group without waiting; return whether all of it is gone."""
        for folder in self._parts:
            with suppress(OSError):
                folder.rmdir()
        return not any(folder.exists() for folder in self._parts)

    def remove(self) -> None:
        """Remove the group after its processes have ended. Blocks. What cannot be removed is logged, and removed at
        the next start of the server."""
        for folder in self._parts:
            try:
                remove_group(folder)
            except OSError as error:
                _log.warning("the control group %s is left: %s", folder, error.strerror)

    def _each(self, feature: Feature) -> Iterator[tuple[Path, Controller]]:
        for folder, controllers in self._parts.items():
            yield from ((folder, controller) for controller in controllers if controller.feature == feature)


@dataclass(frozen=True, slots=True)
class ControlGroups:
    """The control groups that were delegated to this server, and their tested features; empty if there are none."""

    delegations: tuple[DelegatedGroup, ...]
    features: frozenset[Feature]
    prefix: str

    def in_one_hierarchy(self) -> "ControlGroups":
        """Return these groups with the best hierarchy alone: one that limits processes, then the most controllers.

        Entering a group takes about 10 ms in each hierarchy, and only one of them overlaps with the launcher's start.
        """
        if len(self.delegations) < 2:
            return self
        best = max(self.delegations, key=lambda each: ("processes" in each.features, len(each.controllers)))
        return ControlGroups((best,), best.features, self.prefix)

    def make(self, limits: Limits) -> ControlGroup | None:
        """Make a group for one command, which the caller removes; None if none were delegated. Raises OSError."""
        return ControlGroup(self.delegations, self.prefix + token_hex(6), limits) if self.delegations else None


NO_GROUPS = ControlGroups((), frozenset(), "")


def prefix_of(owner: Path | None) -> str:
    """Return the name prefix of a server's groups, derived from its folder `owner`; a random one without a server."""
    return f"remit-{sha256(os.fsencode(owner)).hexdigest()[:12]}-" if owner else f"remit-{token_hex(6)}-"


def _set(folder: Path, settings: Mapping[str, int]) -> None:
    for name, value in settings.items():
        if (folder / name).exists():
            (folder / name).write_text(str(value))


def remove_group(folder: Path) -> None:
    """Remove a group whose processes have ended, or are about to. Blocks. Raises OSError."""
    deadline = monotonic() + REMOVE_SECONDS
    while True:
        try:
            return folder.rmdir()
        except FileNotFoundError:
            return None
        except OSError:
            if monotonic() > deadline:
                raise
            sleep(0.002)  # killed processes need a moment to end


def _number(file: Path, key: str | None) -> int:
    """Return the number in a file, or the one after `key`; 0 if it is missing."""
    found = words(file)
    if key is None:
        return int(found[0]) if found else 0
    return int(found[found.index(key) + 1]) if key in found else 0


def words(file: Path) -> list[str]:
    """Return the words of a file; empty if it cannot be read."""
    try:
        return file.read_text().split()
    except OSError:
        return []
