"""Output on its way into a task's log: what comes while one write is under way goes into the next.

The longer a call goes on, the longer its output is gathered before it is written, and once a task has many events,
until the call ends: however it is dribbled, it makes few events, and nothing of it is lost.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio

from server.errors import RemitError
from storage.records import NewEvent, Run
from storage.store import Store

MAX_EVENT = 8000
"""Characters of text in one event, so that a page of events can be kept small."""

PACE = 0.01
"""Output is gathered for so much of the time that its call has taken: a reader sees it all but at once."""

LONGEST_PAUSE = 1.0
"""Seconds; a call that goes on for an hour makes some 4,000 events at most."""


class Publisher:
    """Appends the text of one call to the log of its run; live, until the log has `event_limit` events."""

    def __init__(self, store: Store, run: Run, call_id: str, event_limit: int) -> None:
        self._store = store
        self._run = run
        self._call_id = call_id
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
        error: Exception | None = None
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._serve)
                try:
                    yield
                except Exception as raised:  # carried around the group, which would wrap it
                    error = raised
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._write()
        if error:
            raise error

    async def _serve(self) -> None:
        while self._events_so_far < self._event_limit:
            await self._arrived.wait()
            self._arrived = anyio.Event()
            await self._write()
            await anyio.sleep(min(PACE * (time.monotonic() - self._started), LONGEST_PAUSE))

    async def _write(self) -> None:
        text, self._text = "".join(self._text), []
        if text:
            # A run that has lost its task is told so by its next step.
            with suppress(RemitError):
                self._events_so_far = await self._store.append_events(self._run, self._events(text))

    def _events(self, text: str) -> list[NewEvent]:
        pieces = (text[start : start + MAX_EVENT] for start in range(0, len(text), MAX_EVENT))
        return [NewEvent("content", {"text": piece, "callId": self._call_id}) for piece in pieces]
