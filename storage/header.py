"""The beginning of a database file, read without opening the database: nothing is made, nobody has to wait."""

import struct
from dataclasses import dataclass
from pathlib import Path

_BYTES = 100
_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself; what stands in its WAL yet is not counted. Sizes are in bytes."""

    size: int
    free: int
    gives_back: bool
    """Whether what is free in it can be given back to the disk without rewriting it."""


def read_header(path: Path) -> Header | None:
    """The header of the file at `path`; None for one that is no database, or has nothing in it yet.

    The offsets are those of https://www.sqlite.org/fileformat.html#the_database_header. Raises OSError.
    """
    with path.open("rb") as file:
        start = file.read(_BYTES)
    if len(start) < _BYTES or not start.startswith(_MAGIC):
        return None
    (page,) = struct.unpack_from(">H", start, 16)
    page = 65536 if page == 1 else page
    pages, _, free = struct.unpack_from(">3I", start, 28)
    (incremental,) = struct.unpack_from(">I", start, 64)
    return Header(pages * page, free * page, incremental != 0)
