"""A real store in a real file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.sqlite.store import SqliteStore, open_store
from tests.storage.fresh import fresh


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        yield store
