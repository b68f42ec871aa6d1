"""The store in its file and the model beside it: what is done, is done to both, and has to come out alike."""

import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

import pytest
from anyio.from_thread import BlockingPortal
from hypothesis.stateful import RuleBasedStateMachine, invariant

from server.errors import RemitError
from storage.records.tasks import Run
from storage.sqlite.store import SqliteStore, open_store
from tests.storage.samples import ANN, BOB
from tests.storage.stateful import comparison
from tests.storage.stateful.model import Refused
from tests.storage.stateful.work import Model

R = TypeVar("R")

START = 1_000_000_000
PRINCIPALS = {ANN.id: ANN, BOB.id: BOB}


class Clock:
    """The time as the store sees it, in microseconds."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> int:
        return self.at


class MachineBase(RuleBasedStateMachine):
    """Base of the state machine: a store in a file of its own, the model, and all runs that were claimed."""

    def __init__(self, portal: BlockingPortal, folder: Path, clock: Clock) -> None:
        super().__init__()
        self.portal = portal
        self.folder = folder
        self.clock = clock
        clock.at = START
        self.model = Model()
        self.runs: list[Run] = []
        self.gone: list[str] = []
        self.numbers: dict[int, str] = {}
        self.done = 0
        self.files = 0
        self._closing = ExitStack()
        self.store = self._open(self._new_file())

    def teardown(self) -> None:
        """Complete all propagations, and check that the file is sound."""
        try:
            while self.model.untold:
                more = self.do(Model.propagate, SqliteStore.propagate)
                assert more or not self.model.untold
            self.as_expected()
            self.portal.call(self.store._db.write, _check_soundness)
        finally:
            self._closing.close()
            self._file.unlink()

    def do(self, expected: Callable[..., Any], operation: Callable[..., Awaitable[R]]) -> R | None:
        """Do the same operation on both; returns None if both refuse it, with the same code and without a trace.

        `expected` is called with the model and the time, `operation` with the store.
        """
        self.done += 1
        self.clock.at += self.done % 2  # so that some things happen at the same time
        self.model.news = False
        before = deepcopy(self.model)
        try:
            expected(self.model, at=self.clock.at)
        except Refused as refusal:
            self.model = before
            self._is_refused(refusal, operation)
            return None
        return self.portal.call(operation, self.store)

    def read(self, function: Callable[..., R], *args: Any) -> R:
        """Read the database itself, in one snapshot."""
        return self.portal.call(lambda: self.store._db.read(function, *args))

    def kill(self) -> None:
        """Go on with the file as it is at this moment, as after `kill -9`."""
        old, new = self._file, self._new_file()
        for suffix in ("", "-wal"):
            shutil.copy(f"{old}{suffix}", f"{new}{suffix}")
        self._closing.close()
        old.unlink()
        self.store = self._open(new)

    @invariant()
    def as_expected(self) -> None:
        """Check that the database is as the model says, and gives no number to a second task."""
        for number, task_id in self.read(comparison.check, self.model).items():
            assert self.numbers.setdefault(number, task_id) == task_id

    def _new_file(self) -> Path:
        self.files += 1
        self._file = self.folder / f"{id(self)}-{self.files}.db"
        return self._file

    def _open(self, path: Path) -> SqliteStore:
        return self._closing.enter_context(self.portal.wrap_async_context_manager(open_store(path)))

    def _is_refused(self, refusal: Refused, operation: Callable[..., Awaitable[Any]]) -> None:
        before = self.read(comparison.dump)
        with pytest.raises(RemitError) as caught:
            self.portal.call(operation, self.store)
        assert caught.value.code is refusal.code, f"{refusal.code} was expected, not {caught.value.message}"
        assert self.read(comparison.dump) == before


def _check_soundness(db: sqlite3.Connection) -> None:
    assert [row[0] for row in db.execute("PRAGMA integrity_check")] == ["ok"]
    db.execute("INSERT INTO task_words (task_words, rank) VALUES ('integrity-check', 1)")
