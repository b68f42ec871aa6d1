"""The acts of an adversary in a workspace, and the checks of their effects."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ctypes import CDLL, get_errno
from itertools import count
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import pytest

RENAME_EXCHANGE = 2  # from linux/fs.h
SECONDS = 30  # a deadline for what takes milliseconds, on a machine however slow


@contextmanager
def repeating(act: Callable[[], None]) -> Iterator[None]:
    """Do it over and over in a thread of its own while the block runs."""
    over = Event()

    def repeat() -> None:
        while not over.is_set():
            with suppress(OSError):  # what it plays with may just be gone
                act()

    thread = Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def swapping(path: Path, link: Path) -> Callable[[], None]:
    """Exchange the two in one step, so that each name is now the one and now the other, but never missing."""
    libc = CDLL(None, use_errno=True)

    def exchange() -> None:
        if libc.renameat2(-1, bytes(path), -1, bytes(link), RENAME_EXCHANGE):
            raise OSError(get_errno(), "cannot exchange")

    return exchange


@contextmanager
def acting_at(moment: int, act: Callable[[], object]) -> Iterator[list[str]]:
    """Do it once, just before the `moment`-th call to the file system; yield the calls seen until then.

    As precise as a race can be lost: where threads meet a given moment once in a thousand rounds, this does always.
    """
    seen: list[str] = []

    def watched(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def interposed(*args: object, **kwargs: object) -> object:
            if len(seen) < moment:
                seen.append(name)
                if len(seen) == moment:
                    with suppress(OSError):  # what it plays with may be gone by now
                        act()
            return call(*args, **kwargs)

        return interposed

    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "chmod",
            "close",
            "fstat",
            "fsync",
            "mkdir",
            "open",
            "rename",
            "rmdir",
            "scandir",
            "stat",
            "unlink",
        ):
            patch.setattr(os, name, watched(name, getattr(os, name)))
        yield seen


def every_moment(prepare: Callable[[], Callable[[], object]], attempt: Callable[[], object]) -> Iterator[None]:
    """Prepare and attempt it again and again, with what `prepare` returns done one call later each time."""
    for moment in count(1):
        act = prepare()
        with acting_at(moment, act) as seen:
            attempt()
        yield
        if len(seen) < moment:
            break


def within_deadline() -> Iterator[None]:
    """Go on until the caller has seen enough; fail when that takes too long."""
    end = monotonic() + SECONDS
    while monotonic() < end:
        yield
    raise AssertionError(f"not seen within {SECONDS} s")


def finished(act: Callable[[], object]) -> bool:
    """Return whether the operation ends, with a result or an error, rather than block."""

    def run() -> None:
        with suppress(Exception):
            act()

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return not thread.is_alive()


def tree(folder: Path) -> dict[str, bytes | str | None]:
    """Return everything beneath a folder: content of files, targets of symlinks, None for folders and the rest."""
    found: dict[str, bytes | str | None] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found


def dig(folder: Path, levels: int, name: str = "d") -> None:
    """Make folders in folders, deeper than any path can name."""
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
