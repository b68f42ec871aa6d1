"""Transcript of an agent: its answer and thoughts, written to the task's log."""

from contextlib import suppress

import anyio

from server.config import Settings
from server.errors import RemitError
from server.limits import MAX_EVENT_TEXT
from server.tasks.events.event_writer import EventWriter, Log
from server.tasks.events.output import CommandOutput, OutputBudget
from server.tasks.secrets.masking import NO_SECRETS, MaskedStream, joined, own_words, part
from server.tasks.secrets.variables import Variables
from server.threads import computed
from storage.records.events import EventKind, RunEvent
from storage.records.masked import MaskedText
from storage.records.tasks import Run

MAX_SUBJECT = 200
"""Characters of a thought's subject; cut after masking."""


class Transcript:
    """Writes what an agent says as it comes, masked and bounded; what is not kept is counted."""

    def __init__(self, log: Log, run: Run, variables: Variables, budget: OutputBudget, settings: Settings) -> None:
        self._log = log
        self._run = run
        self._variables = variables
        self._budget = budget
        self._most = settings.output_limit
        self._output: CommandOutput | None = None
        self._thought: MaskedStream | None = None
        """The mask of a thought in pieces: a secret may begin in one piece and end in the next."""

        self._unkept = 0
        self._speaking = anyio.Lock()
        self.writer = EventWriter(log, run, settings.event_limit)

    async def say(self, text: str) -> None:
        """Write a piece of the answer."""
        async with self._speaking:
            if self._output is None:
                self._output = CommandOutput(self._variables.masker, self._budget.limit(self._most))
            await self._output.show(text.encode(errors="replace"), self.writer.publish)

    async def pause(self) -> None:
        """End the present piece of the answer: show what was held back because it might have begun a secret."""
        async with self._speaking:
            if (output := self._output) is not None:
                self._output = None
                self.writer.publish(await output.finish())
                self._budget.take(output.text)

    async def think(self, description: str, subject: str, *, goes_on: bool = False) -> None:
        """Write one thought, or a piece that `goes_on` in the next; of a long one, both ends.

        Thoughts beyond the task's budget are only counted.
        """
        if self._budget.is_used_up:
            self._unkept += 1
            return
        thought = CommandOutput(NO_SECRETS, self._budget.limit(MAX_EVENT_TEXT))
        await thought.take(await self._masked(description, goes_on=goes_on))
        self._budget.take(thought.text)
        shown = await self._variables.masker.text(subject)
        if thought.text or shown:
            await self._append_thought(part(shown, 0, MAX_SUBJECT), thought.text)

    async def end(self) -> None:
        """End the transcript: write what is left, and how many thoughts were not kept."""
        await self.pause()
        if self._unkept:
            with suppress(RemitError):  # the run has lost its task, which is reported elsewhere
                await self._append_thought(own_words(""), own_words(f"[… {self._unkept:d} thoughts were not kept …]"))

    async def _masked(self, piece: str, *, goes_on: bool) -> MaskedText:
        """Return what can be shown of a thought by now, masked."""
        stream = self._thought or self._variables.masker.stream()
        self._thought = stream if goes_on else None
        masked = await computed(len(piece), stream.feed, piece)
        return masked if goes_on else joined([masked, await computed(stream.held, stream.finish)])

    async def _append_thought(self, subject: MaskedText, description: MaskedText) -> None:
        thought = {"subject": subject, "description": description}
        await self._log.append_events(self._run, [RunEvent(EventKind.THOUGHT, thought)])
