"""Output on its way into a task's log: what comes while one write is under way goes into the next.

The longer a call goes on, the longer its output is gathered before it is written, and once a task has many events,
until the call ends: however it is dribbled, it makes few events, and nothing of it is lost.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import anyio

from server.concurrency import in_background
from server.errors import RemitError
from storage.records.tasks import NewEvent, Run

MAX_EVENT = 8000
"""Characters of text in one event, so that a page of events can be kept small."""

PACE = 0.01
"""Output is gathered for so much of the time that its call has taken: a reader sees it all but at once."""

LONGEST_PAUSE = 1.0
"""Seconds; a call that goes on for an hour makes some 4,000 events at most."""


class Log(Protocol):
    """Where events of tasks are written."""

    async def append_events(self, run: Run, events: list[NewEvent]) -> int:
        """Append to the log of the run's task, whole or not at all; returns the number of the last event."""
        ...


class EventWriter:
    """Appends text to the log of a run: what its agent says, or what comes out of one of its calls.

    Live, until the log has `event_limit` events; what comes then is written at the end.
    """

    def __init__(
        self, log: Log, run: Run, event_limit: int, *, kind: str = "content", call_id: str | None = None
    ) -> None:
        self._log = log
        self._run = run
        self._kind = kind
        self._extra = {} if call_id is None else {"callId": call_id}
        self._event_limit = event_limit
        self._events_so_far = 0
        self._started = time.monotonic()
        self._text: list[str] = []
        self._arrived = anyio.Event()

    def publish(self, text: str) -> None:
        """Have `text` written soon, after what was published before."""
        if text:
            self._text.append(text)
            self._arrived.set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Write while the block runs; however it ends, everything published has been written."""
        try:
            async with in_background(self._serve):
                yield
        finally:
            await self._write()

    async def _serve(self) -> None:
        while self._events_so_far < self._event_limit:
            await self._arrived.wait()
            self._arrived = anyio.Event()
            await self._write()
            await anyio.sleep(min(PACE * (time.monotonic() - self._started), LONGEST_PAUSE))

    async def _write(self) -> None:
        text, self._text = "".join(self._text), []
        if text:
            with suppress(RemitError):  # a run that has lost its task is told so by its next step
                self._events_so_far = await self._log.append_events(self._run, self._events(text))

    def _events(self, text: str) -> list[NewEvent]:
        pieces = (text[start : start + MAX_EVENT] for start in range(0, len(text), MAX_EVENT))
        return [NewEvent(self._kind, {"text": piece, **self._extra}) for piece in pieces]
