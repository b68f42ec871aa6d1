"""Databases for tests: copies of one that was migrated once, since that takes longer than most tests do."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from storage.sqlite.store import open_store


def fresh(file: Path) -> Path:
    """Make a database of this file, as a first start leaves it; the file."""
    file.write_bytes(_content())
    return file


@cache
def _content() -> bytes:
    with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as thread:
        file = Path(folder, "remit.db")
        thread.submit(anyio.run, _create, file).result()  # whoever asks may be in an event loop
        return file.read_bytes()


async def _create(file: Path) -> None:
    async with open_store(file):
        pass
