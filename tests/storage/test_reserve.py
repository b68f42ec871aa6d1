"""The room that is kept on the disk of the database, and given up for what must be written."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest

from storage.errors import DatabaseError
from storage.sqlite.database import RESERVE, Database
from storage.sqlite.reserve import RESERVE_BYTES
from tests.faults import Disk, small_disk


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[tuple[Database, Disk]]:
    """A database on a disk that is full but for its reserve."""
    with small_disk(tmp_path / "disk") as disk:
        opened = await Database.open(disk.folder / "remit.db")
        try:
            await opened.write(lambda db: db.execute("CREATE TABLE things (content BLOB)"))
            disk.fill()
            yield opened, disk
        finally:
            disk.empty()
            await opened.aclose()


def _keep_half_of_it(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO things VALUES (zeroblob(?))", (RESERVE_BYTES // 2,))


async def test_only_what_must_be_written_is_written_in_the_reserve(full: tuple[Database, Disk]) -> None:
    opened, disk = full
    with pytest.raises(DatabaseError, match="full"):
        await opened.write(_keep_half_of_it)
    assert (disk.folder / RESERVE).exists()
    await opened.write_end(_keep_half_of_it)
    assert not (disk.folder / RESERVE).exists()
    assert await opened.read(lambda db: db.execute("SELECT count(*) FROM things").fetchone()[0]) == 1


async def test_the_reserve_is_taken_again_once_there_is_room(full: tuple[Database, Disk]) -> None:
    opened, disk = full
    await opened.write_end(_keep_half_of_it)
    assert not (disk.folder / RESERVE).exists()
    disk.empty()
    await opened.write(_keep_half_of_it)
    assert (disk.folder / RESERVE).stat().st_blocks * 512 >= RESERVE_BYTES


async def test_what_is_left_of_the_reserve_is_for_ends_alone(full: tuple[Database, Disk]) -> None:
    opened, disk = full
    await opened.write_end(_keep_a_quarter_of_it)
    assert 0 < disk.free < RESERVE_BYTES
    with pytest.raises(DatabaseError, match="full"):
        await opened.write(lambda db: db.execute("DELETE FROM things"))
    await opened.write_end(lambda db: db.execute("DELETE FROM things"))


async def test_ends_that_need_more_than_the_reserve_wait_for_a_reader_before_they_write_over_the_log(
    full: tuple[Database, Disk],
) -> None:
    opened, disk = full
    disk.empty()
    await opened.write(_keep_a_quarter_of_it)
    await opened.tidy()
    disk.fill()
    with closing(sqlite3.connect(disk.folder / "remit.db", isolation_level=None, check_same_thread=False)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM things").fetchone()
        leaving = Timer(0.2, reader.execute, ("COMMIT",))
        leaving.start()
        for _ in range(12):
            await opened.write_end(lambda db: db.execute("UPDATE things SET content = randomblob(length(content))"))
        leaving.join()


async def test_ends_that_let_the_file_grow_leave_room_for_that_in_the_reserve(full: tuple[Database, Disk]) -> None:
    opened, disk = full
    disk.empty()
    await opened.write(_keep_a_quarter_of_it)
    await opened.tidy()
    disk.fill()
    for _ in range(12):
        await opened.write_end(_grow_and_change)


def _grow_and_change(db: sqlite3.Connection) -> None:
    db.execute("UPDATE things SET content = randomblob(length(content)) WHERE rowid = 1")
    db.execute("INSERT INTO things VALUES (zeroblob(16384))")


def _keep_a_quarter_of_it(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO things VALUES (zeroblob(?))", (RESERVE_BYTES // 4,))
