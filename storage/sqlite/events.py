"""Group commit: the events of all tasks that arrive while one transaction runs share the next one."""

import sqlite3
from dataclasses import dataclass, field

import anyio

from server.errors import RemitError
from storage.records.events import RunEvent
from storage.records.tasks import Run
from storage.sqlite.database import Database
from storage.sqlite.operations import runs


@dataclass(slots=True)
class _Append:
    run: Run
    events: list[RunEvent]
    at: int
    done: anyio.Event = field(default_factory=anyio.Event)
    number: int = 0
    error: BaseException | None = None


class EventLog:
    """Appends events in batches. `serve` must be running for `append` to return."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Append] = []
        self._arrived = anyio.Event()

    async def append(self, run: Run, events: list[RunEvent], at: int) -> int:
        """Append to the log of the run's task; returns the number of the last event.

        Survives a crash of the server, not necessarily a power failure. Raises RemitError (CONFLICT) when the run no
        longer holds its task.
        """
        append = _Append(run, events, at)
        self._waiting.append(append)
        self._arrived.set()
        await append.done.wait()
        if append.error:
            raise append.error
        return append.number

    async def serve(self) -> None:
        """Write incoming events batch by batch, each as soon as the one before is written, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived = anyio.Event()
            batch, self._waiting = self._waiting, []
            try:
                await self._database.write_soon(_append_all, batch)
            except Exception as error:
                for append in batch:
                    append.error = error
            finally:
                for append in batch:
                    append.done.set()


def _append_all(db: sqlite3.Connection, batch: list[_Append]) -> None:
    for append in batch:
        try:
            append.number = runs.append_events(db, append.run, append.events, append.at)
        except RemitError as error:  # a stale run: nothing of it was written
            append.error = error
