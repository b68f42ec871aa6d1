"""Writer of text into a task's log, in batches: text that arrives during one write goes into the next.

The longer a call takes, the longer its output is gathered before it is written; in a task with many events, until the
call ends. So output in tiny pieces makes few events, and none of it is lost.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import anyio

from server.concurrency import in_background
from server.errors import RemitError
from server.limits import MAX_EVENT_TEXT
from server.tasks.secrets.masking import joined, part
from storage.records.events import EventKind, RunEvent
from storage.records.masked import MaskedText
from storage.records.tasks import Run

PACE = 0.01
"""The share of a call's time for which its output is gathered: readers see it almost at once."""

LONGEST_PAUSE = 1.0
"""Seconds; a call that goes on for an hour makes some 4,000 events at most."""


class Log(Protocol):
    """The store's operation for appending events."""

    async def append_events(self, run: Run, events: list[RunEvent]) -> int:
        """Append to the log of the run's task, all or none; returns the number of the last event."""
        ...


class EventWriter:
    """Appends text to a run's log: the agent's answer, or the output of one of its calls.

    It writes as text arrives until the log has `event_limit` events, and everything later at the end.
    """

    def __init__(
        self, log: Log, run: Run, event_limit: int, *, kind: EventKind = EventKind.CONTENT, call_id: str | None = None
    ) -> None:
        self._log = log
        self._run = run
        self._kind = kind
        self._call_id = call_id
        self._event_limit = event_limit
        self._events_so_far = 0
        self._started = time.monotonic()
        self._text: list[MaskedText] = []
        self._arrived = anyio.Event()

    def publish(self, text: MaskedText) -> None:
        """Queue `text` to be written soon, after what was queued before."""
        if text:
            self._text.append(text)
            self._arrived.set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Write while the block runs; at its end, however it ends, everything queued has been written."""
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
        text, self._text = joined(self._text), []
        if text:
            with suppress(RemitError):  # the run has lost its task; its next operation fails for that
                self._events_so_far = await self._log.append_events(self._run, self._events(text))

    def _events(self, text: MaskedText) -> list[RunEvent]:
        pieces = (part(text, start, start + MAX_EVENT_TEXT) for start in range(0, len(text), MAX_EVENT_TEXT))
        return [RunEvent(self._kind, {"text": piece}, call_id=self._call_id) for piece in pieces]
