"""Memory files that are passed to a command as descriptors: they are never on disk, and reading never blocks."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

_ADD_SEALS, _SEAL, _SHRINK, _GROW, _WRITE = 1033, 1, 2, 4, 8  # fcntl(2), F_ADD_SEALS and F_SEAL_*
_SIZED = _SEAL | _SHRINK | _GROW


@contextmanager
def blank(size: int) -> Iterator[int]:
    """Yield the descriptor of a memory file of `size` zero bytes that is writable and cannot change its size."""
    with _memory() as descriptor:
        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, _ADD_SEALS, _SIZED)
        yield descriptor


@contextmanager
def holding(data: bytes) -> Iterator[int]:
    """Yield the descriptor of a read-only memory file with this content."""
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
