"""Processes that tasks have started, known by an argument that no other process has."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio

GONE_SECONDS = 5.0
"""Within which nothing of a cancelled task lives: the sixth of the promises of the design."""

LOOK_SECONDS = 0.02
"""Seconds between two looks."""


def alive(mark: str) -> list[int]:
    """Return the processes with an argument that begins with the mark."""
    argument = re.compile(rb"(^|\0)" + re.escape(mark.encode()))
    return [pid for pid, command in _commands() if argument.search(command)]


async def gone(mark: str, seconds: float = GONE_SECONDS) -> bool:
    """Return whether none of the processes is alive after so many seconds; at once when none is."""
    return await becomes(lambda: not alive(mark), seconds)


async def becomes(is_so: Callable[[], bool], seconds: float) -> bool:
    """Poll a condition, and return whether it becomes true within so many seconds."""
    with anyio.move_on_after(seconds) as scope:
        while not is_so():
            await anyio.sleep(LOOK_SECONDS)
            if scope.cancel_called:
                break
    return is_so()


def _commands() -> Iterator[tuple[int, bytes]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
