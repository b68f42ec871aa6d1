"""Control groups: where some were delegated to this server, the kernel itself holds a limit over a whole tree.

Both versions are used as they are found, each for what it can: version 2 (`/sys/fs/cgroup`, delegated by a service
manager or a container) and the hierarchies of version 1, which only root may use. The files and their meaning are in
the kernel's admin-guide/cgroup-v2.rst and admin-guide/cgroup-v1.
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

OWN_PROCESSES = 2  # bubblewrap and its init, or a supervisor: they stand in the group, and are not the command's
REMOVE_SECONDS = 1.0  # that a group, whose processes have ended, may take to be empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """One thing a hierarchy can do for a group, and the files by which it does."""

    feature: Feature
    name: str | None = None
    """What the hierarchy calls it; None for what every group of version 2 has."""

    settings: Callable[[Limits], Mapping[str, int]] = lambda _: {}
    """What to write to which file; one that is not there is passed over, as where swap is not accounted for."""

    hits: tuple[str, str] | None = None
    """The file, and the key in it, that counts how often the limit was hit."""

    usage: tuple[str, str | None, float] | None = None
    """The file, the key in it (None: it holds a number alone), and what one of its units is of ours."""


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
"""A file of version 2."""


@dataclass(frozen=True, slots=True)
class DelegatedGroup:
    """A group whose children this server may make, and what these are good for."""

    folder: Path
    controllers: tuple[Controller, ...]

    @property
    def features(self) -> frozenset[Feature]:
        """What they hold."""
        return frozenset(controller.feature for controller in self.controllers)


class ControlGroup:
    """A group in each of some hierarchies, for one command with all it starts."""

    def __init__(self, delegations: tuple[DelegatedGroup, ...], name: str, limits: Limits) -> None:
        """Make it, with its limits. Raises OSError; nothing is left then."""
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
        """What it holds."""
        return frozenset(controller.feature for each in self._parts.values() for controller in each)

    def add(self, pid: int) -> None:
        """Put a process into it, whose children will be in it from their birth. Raises OSError.

        One that is in it is left alone: every move makes all forks of this machine wait, for milliseconds.
        """
        for folder in self._parts:
            members = folder / "cgroup.procs"
            if str(pid) not in members.read_text().split():
                members.write_text(str(pid))

    def was_hit(self, feature: Feature) -> bool:
        """Whether that limit has kept the group from something."""
        hits = [(folder, controller.hits) for folder, controller in self._each(feature) if controller.hits]
        return any(_number(folder / file, key) for folder, (file, key) in hits)

    def usage(self, feature: Feature) -> float:
        """Seconds of processor time, or bytes of memory; of all that was ever in the group, collected or not."""
        usage = [(folder, controller.usage) for folder, controller in self._each(feature) if controller.usage]
        return sum(_number(folder / file, key) * unit for folder, (file, key, unit) in usage)

    def kill(self) -> None:
        """Kill all that is in it at once, where the kernel can; elsewhere nothing happens."""
        for folder in self._parts:
            with suppress(OSError):
                (folder / KILL).write_text("1")

    def vanishes(self) -> bool:
        """Remove it at once, as far as that can be done without waiting for anything; whether that was all of it."""
        for folder in self._parts:
            with suppress(OSError):
                folder.rmdir()
        return not any(folder.exists() for folder in self._parts)

    def remove(self) -> None:
        """Remove it, once nothing runs in it. Blocks. What stays is told of, and removed at the next start."""
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
    """What was delegated to this server, as far as it was seen to hold; nothing, where `delegations` are empty."""

    delegations: tuple[DelegatedGroup, ...]
    features: frozenset[Feature]
    prefix: str

    def in_one_hierarchy(self) -> "ControlGroups":
        """What the best of the hierarchies holds by itself: the number of processes first, then as much as may be.

        Entering a group takes the kernel some 10 ms in each hierarchy. The launcher's own start hides one of them.
        """
        if len(self.delegations) < 2:
            return self
        best = max(self.delegations, key=lambda each: ("processes" in each.features, len(each.controllers)))
        return ControlGroups((best,), best.features, self.prefix)

    def make(self, limits: Limits) -> ControlGroup | None:
        """A group for one command, which the caller removes; None where none were delegated. Raises OSError."""
        return ControlGroup(self.delegations, self.prefix + token_hex(6), limits) if self.delegations else None


NO_GROUPS = ControlGroups((), frozenset(), "")


def prefix_of(owner: Path | None) -> str:
    """How the names of the groups begin that belong to a server, told by a folder of its own, or to nobody."""
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
            sleep(0.002)  # what was killed is on its way out


def _number(file: Path, key: str | None) -> int:
    """The number in a file of one, or that behind a key in a file of several; 0 where it is not."""
    found = words(file)
    if key is None:
        return int(found[0]) if found else 0
    return int(found[found.index(key) + 1]) if key in found else 0


def words(file: Path) -> list[str]:
    """What a file says; nothing where it is not."""
    try:
        return file.read_text().split()
    except OSError:
        return []
