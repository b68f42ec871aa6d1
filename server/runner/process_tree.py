"""A process and everything it started, as /proc tells it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from time import monotonic, sleep

SIGKILL, SIGSTOP = 9, 19  # importing signal for them would cost each supervised command 3 ms
END_SECONDS = 5.0  # what is promised for the end of a task

Processes = dict[int, list[bytes]]
"""Process numbers, and the fields of each one's /proc/PID/stat from the third on, the state."""


def descendants(root: int) -> Processes:
    """Every living process beneath `root`."""
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


def holds(root: int, what: str) -> bool:
    """Whether `root`, or a process beneath it, has a descriptor of that, as the link in /proc/PID/fd names it."""
    return any(what in _descriptors(pid) for pid in (root, *descendants(root)))


def child_of(pid: int) -> int | None:
    """A living child of that process; looked for first where the next numbers are given out."""
    for candidate in chain(range(pid + 1, pid + 64), _numbers()):
        if is_alive(fields := stat(candidate)) and int(fields[1]) == pid:
            return candidate
    return None


def end_descendants(root: int) -> None:
    """Kill everything beneath `root`, having stopped all of it first: what is stopped cannot fork.

    Raises TimeoutError if something is still there after five seconds.
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
        sleep(0.005)  # for them to die


def threads_of_machine() -> int:
    """How many threads there are in all: one small file, where the tree is as many as it has processes."""
    with open("/proc/loadavg", "rb", 0) as file:
        return int(file.read().split()[3].partition(b"/")[2])


def stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat from the third on; none if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", 0) as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_alive(fields: list[bytes]) -> bool:
    """Whether it is more than a zombie: one whose first thread alone has ended looks like one, but has others."""
    return bool(fields) and (fields[0] not in b"ZX" or int(fields[17]) > 1)


def _numbers() -> Iterator[int]:
    return map(int, filter(str.isdigit, os.listdir("/proc")))


def _descriptors(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):  # it has ended, or is not to be looked into
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
    return found


def _signal(pids: Iterable[int], signal: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal)
