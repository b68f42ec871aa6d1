"""Limits on a command's whole process tree, measured from outside because no rlimit covers them."""

import os
from collections.abc import Iterator, Set
from contextlib import suppress
from signal import SIGXFSZ
from stat import S_ISREG

from server.limits import MIB
from server.runner import process_tree
from server.runner.cgroups.control_group import ControlGroup, Feature
from server.runner.policy import Limits

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


ON_DISK_GAP = (
    "The workspace is measured every few seconds and when a command ends: what is written in between can exceed its "
    "limit, and folders that a command has closed to its own user, or deleted files that it keeps open and hides, are "
    "not counted in it; the floor of free disk space holds all the same."
)
GAPS: dict[Feature, str] = {
    "processes": "Processes are counted by looking, ten times a second; a burst in between can exceed the limit.",
    "memory": "Memory of the whole tree is summed up once a second; a burst in between can exceed the limit.",
    "kernel memory": "What the kernel holds for a command (socket buffers, folders in memory) is not counted.",
    "processor time": "Processor time is summed up once a second, that of children that nobody waited for left out.",
}
NO_GROUPS_GAP = "No control group was delegated to this server: limits on a whole tree are held by looking alone."
ROOT_GAP = "As root the number of processes is held by looking alone, since the kernel does not count root's."


def gaps(held: Set[Feature]) -> Iterator[str]:
    """Yield the limits that are not enforced exactly, one sentence each; `held` is what control groups enforce."""
    if not held:
        yield NO_GROUPS_GAP
    yield from (gap for feature, gap in GAPS.items() if feature not in held)
    if os.geteuid() == 0 and "processes" not in held:
        yield ROOT_GAP
    yield ON_DISK_GAP


def exceeded(root: int, limits: Limits) -> str | None:
    """Return the limit that the descendants of `root` exceed, as a phrase for users. Blocks."""
    processes = process_tree.descendants(root)
    collector = {root: process_tree.stat(root)}  # includes the times of ended processes that it adopted
    if _threads(processes) > limits.processes:
        return too_many_processes(limits)
    if _cpu_seconds(processes | collector) > limits.cpu_seconds:
        return _too_much_time(limits)
    if _resident_bytes(processes) > limits.memory_bytes and _memory_bytes(processes) > limits.memory_bytes:
        return _too_much_memory(limits)
    return None


def exceeded_in(group: ControlGroup, limits: Limits) -> str | None:
    """Return the limit that a control group has hit or exceeds, as a phrase for users."""
    if group.was_hit("processes"):
        return too_many_processes(limits)
    if group.was_hit("memory"):
        return _too_much_memory(limits)
    return _too_much_time(limits) if group.usage("processor time") > limits.cpu_seconds else None


def explained(status: int, limits: Limits) -> str | None:
    """Return the limit that an exit status names, as a phrase for users: SIGXFSZ is sent for too large a file."""
    return f"the file size limit of {limits.file_bytes // MIB} MiB" if status == 128 + SIGXFSZ else None


def too_many_processes(limits: Limits) -> str:
    """Return this limit as a phrase for users."""
    return f"the limit of {limits.processes} processes"


def _too_much_memory(limits: Limits) -> str:
    return f"the memory limit of {limits.memory_bytes // MIB} MiB"


def _too_much_time(limits: Limits) -> str:
    return f"the processor time limit of {limits.cpu_seconds} s"


def too_large_a_workspace(limits: Limits) -> str:
    """Return this limit as a phrase for users."""
    return f"the workspace size limit of {limits.workspace_bytes // MIB} MiB"


def deleted_bytes(root: int, devices: Set[int]) -> int:
    """Return the bytes of deleted files on `devices` that `root` or a descendant keeps open. Blocks.

    Processes whose descriptors cannot be read are skipped.
    """
    deleted: dict[tuple[int, int], int] = {}
    for pid in (root, *process_tree.descendants(root)):
        with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as descriptors:
            for descriptor in descriptors:
                with suppress(OSError):
                    status = descriptor.stat()
                    if S_ISREG(status.st_mode) and status.st_nlink == 0 and status.st_dev in devices:
                        deleted[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(deleted.values())


# Fields of /proc/PID/stat, counted from the third.
def _threads(processes: process_tree.Processes) -> int:
    return sum(int(fields[17]) for fields in processes.values())


def _cpu_seconds(processes: process_tree.Processes) -> float:
    """Return user and system time, of the processes and of the children that they have waited for."""
    return sum(sum(map(int, fields[11:15])) for fields in processes.values()) / _TICKS_PER_SECOND


def _resident_bytes(processes: process_tree.Processes) -> int:
    """Return the resident memory: quick to read but too high, as shared pages count for each process."""
    return sum(int(fields[21]) for fields in processes.values()) * _PAGE_BYTES


def _memory_bytes(processes: process_tree.Processes) -> int:
    return sum(_proportional_bytes(pid, fields) for pid, fields in processes.items())


def _proportional_bytes(pid: int, fields: list[bytes]) -> int:
    """Return its proportional set size with swap; its resident memory if smaps_rollup cannot be read."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as lines:
            return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Pss:", "SwapPss:")))
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except PermissionError:
        return _resident_bytes({pid: fields})
