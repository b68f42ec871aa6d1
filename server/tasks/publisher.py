"""Output on its way into a task's log: what comes while one write is under way goes into the next."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio

from server.beside import beside
from server.errors import RemitError
from storage.records import NewEvent, Run
from storage.store import Store

MAX_EVENT = 8000
"""Characters of text in one event, so that a page of events can be kept small."""


class Publisher:
    """Appends text to the log of a run: what its agent says, or what comes out of one of its calls."""

    def __init__(self, store: Store, run: Run, kind: str = "content", call_id: str | None = None) -> None:
        self._store = store
        self._run = run
        self._kind = kind
        self._extra = {} if call_id is None else {"callId": call_id}
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
            async with beside(self._serve):
                yield
        finally:
            with anyio.CancelScope(shield=True):
                await self._write()

    async def _serve(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived = anyio.Event()
            await self._write()

    async def _write(self) -> None:
        text, self._text = "".join(self._text), []
        if text:
            # A run that has lost its task is told so by its next step.
            with suppress(RemitError):
                await self._store.append_events(self._run, self._events(text))

    def _events(self, text: str) -> list[NewEvent]:
        pieces = (text[start : start + MAX_EVENT] for start in range(0, len(text), MAX_EVENT))
        return [NewEvent(self._kind, {"text": piece, **self._extra}) for piece in pieces]
