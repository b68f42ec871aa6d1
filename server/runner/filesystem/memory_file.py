"""Memory that a command is handed as a descriptor: nothing of it is on a disk, and nobody can wait for it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

_ADD_SEALS, _SEAL, _SHRINK, _GROW, _WRITE = 1033, 1, 2, 4, 8  # fcntl(2), F_ADD_SEALS and F_SEAL_*
_SIZED = _SEAL | _SHRINK | _GROW


@contextmanager
def blank(size: int) -> Iterator[int]:
    """A descriptor of `size` bytes, all zero, which can be written and neither grow nor shrink."""
    with _memory() as descriptor:
        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, _ADD_SEALS, _SIZED)
        yield descriptor


@contextmanager
def holding(data: bytes) -> Iterator[int]:
    """A descriptor of these bytes, which can only be read."""
    with _memory() as descriptor:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        fcntl.fcntl(descriptor, _ADD_SEALS, _SIZED | _WRITE)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor


@contextmanager
def _memory() -> Iterator[int]:
    descriptor = os.memfd_create("remit", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
