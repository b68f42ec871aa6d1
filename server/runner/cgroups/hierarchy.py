"""The control group hierarchies of this process, and the groups in which child groups may be made."""

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from time import monotonic, sleep

from server.runner.cgroups.control_group import (
    CONTROLLERS,
    KILL,
    REMOVE_SECONDS,
    DelegatedGroup,
    prefix_of,
    remove_group,
    words,
)

_log = logging.getLogger(__name__)

_LEAF = "remit-server"  # a child group for this server: in version 2 a group with limited children has no processes


def candidates() -> Iterator[DelegatedGroup]:
    """Yield the groups in which child groups can probably be made, version 2 first. They are not tested yet."""
    for own in sorted(_own_groups(), key=lambda own: -own.version):
        usable = own.controllers if own.version == 1 else _child_controllers(own)
        controllers = tuple(each for each in CONTROLLERS[own.version] if each.name is None or each.name in usable)
        if controllers and os.access(_folder(own), os.W_OK):
            yield DelegatedGroup(_folder(own), controllers)


@dataclass(frozen=True, slots=True)
class _OwnGroup:
    """The group of this process in one hierarchy."""

    path: Path
    version: int
    controllers: frozenset[str]


def _folder(own: _OwnGroup) -> Path:
    """Return the parent of the commands' groups: the group itself, or its parent if this server moved to a leaf."""
    return own.path.parent if own.path.name == _LEAF else own.path


def _own_groups() -> Iterator[_OwnGroup]:
    mounts = list(_mounts())
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        controllers = frozenset(names.split(",")) - {""}
        version = 1 if controllers else 2
        for root, point, kinds in mounts:
            if (controllers <= kinds if controllers else not kinds) and Path(path).is_relative_to(root):
                own = point / Path(path).relative_to(root)
                found = controllers or frozenset(words(own / "cgroup.controllers"))
                yield _OwnGroup(own, version, found)
                break


def _mounts() -> Iterator[tuple[str, Path, frozenset[str]]]:
    """Yield each mounted hierarchy: its mounted root, its mount point, and its controllers (empty for version 2)."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        root, point = mount.split()[3:5]
        system, _, options = kind.split(" ", 2)
        if system in ("cgroup", "cgroup2"):
            known = frozenset(options.split(",")) - {"rw", "ro"}
            yield root, Path(point), known if system == "cgroup" else frozenset()


def _child_controllers(own: _OwnGroup) -> frozenset[str]:
    """Enable the controllers for child groups, version 2, and return those that are enabled."""
    wanted = own.controllers & {controller.name for controller in CONTROLLERS[2]}
    folder = _folder(own)
    if missing := wanted - set(words(folder / "cgroup.subtree_control")):
        with suppress(OSError):
            _enable(folder, missing)
    return frozenset(words(folder / "cgroup.subtree_control"))


def _enable(folder: Path, controllers: frozenset[str] | set[str]) -> None:
    """Enable controllers for child groups. A group other than the root must have no processes, so this one moves.

    Raises OSError.
    """
    change = " ".join(f"+{name}" for name in controllers)
    with suppress(OSError):
        (folder / "cgroup.subtree_control").write_text(change)
        return
    leaf = folder / _LEAF
    leaf.mkdir(exist_ok=True)
    (leaf / "cgroup.procs").write_text(str(os.getpid()))
    try:
        (folder / "cgroup.subtree_control").write_text(change)
    except OSError:  # other processes are in the group, too
        (folder / "cgroup.procs").write_text(str(os.getpid()))
        leaf.rmdir()
        raise


def end_leftover_groups(owner: Path) -> int:
    """Kill the processes in groups of a dead server, and remove the groups; return their number. Blocks.

    Only for the start of a server that holds the lock of the folder `owner`.
    """
    left = [group for folder in map(_folder, _own_groups()) for group in folder.glob(f"{prefix_of(owner)}*")]
    for group in left:
        try:
            _end_all(group)
            remove_group(group)
        except OSError as error:
            _log.warning("the control group %s of a dead server is left: %s", group, error.strerror)
    return len(left)


def _end_all(group: Path) -> None:
    deadline = monotonic() + REMOVE_SECONDS
    while (pids := words(group / "cgroup.procs")) and monotonic() < deadline:
        with suppress(OSError):
            (group / KILL).write_text("1")
        for pid in map(int, pids):
            with suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
        sleep(0.005)  # the kernel needs a moment
