"""A process and its descendants, read from /proc."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from time import monotonic, sleep

SIGKILL, SIGSTOP = 9, 19  # importing the module signal would cost each supervised command 3 ms
END_SECONDS = 5.0  # how long cancelling a task may take, as documented

Processes = dict[int, list[bytes]]
"""The fields of /proc/PID/stat by process number, from the third field (the state) on."""


def descendants(root: int) -> Processes:
    """Return every living descendant of `root`."""
    children: dict[int, Processes] = {}
    for pid in _numbers():
        if is_alive(fields := stat(pid)):
            children.setdefault(int(fields[1]), {})[pid] = fields
    found: Processes = {}
    ahead = [root]
    while ahead:
        new = children.get(ahead.pop(), {})
        found |= new
        ahead += new
    return found


def holds(root: int, target: str) -> bool:
    """Return whether `root` or a descendant has `target` open, as links in /proc/PID/fd name it ("socket:[123]")."""
    return any(target in _descriptors(pid) for pid in (root, *descendants(root)))


def child_of(pid: int) -> int | None:
    """Return a living child of a process, or None; the process numbers right after its own are tried first."""
    for candidate in chain(range(pid + 1, pid + 64), _numbers()):
        if is_alive(fields := stat(candidate)) and int(fields[1]) == pid:
            return candidate
    return None


def end_descendants(root: int) -> None:
    """Kill every descendant of `root`. All are stopped first, since a stopped process cannot fork.

    Raises TimeoutError if one is still alive after END_SECONDS.
    """
    deadline = monotonic() + END_SECONDS
    while alive := descendants(root).keys():
        if monotonic() > deadline:
            raise TimeoutError(f"{len(alive)} processes beneath {root} cannot be killed")
        stopped: set[int] = set()
        while running := alive - stopped:
            _signal(running, SIGSTOP)
            stopped |= running
            alive = descendants(root).keys()
        _signal(stopped, SIGKILL)
        sleep(0.005)  # the kernel needs a moment


def threads_of_machine() -> int:
    """Return the number of threads on this machine, from one small file rather than one for each process."""
    with open("/proc/loadavg", "rb", 0) as file:
        return int(file.read().split()[3].partition(b"/")[2])


def stat(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat from the third on; empty if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", 0) as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_alive(fields: list[bytes]) -> bool:
    """Return whether a process is no zombie; one whose main thread alone has ended looks like a zombie, too."""
    return bool(fields) and (fields[0] not in b"ZX" or int(fields[17]) > 1)


def _numbers() -> Iterator[int]:
    return map(int, filter(str.isdigit, os.listdir("/proc")))


def _descriptors(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):  # the process has ended, or its descriptors may not be read
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
    return found


def _signal(pids: Iterable[int], signal: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal)
