"""What an agent says and thinks on its way into a task's log."""

from contextlib import suppress

import anyio

from server.config import Settings
from server.errors import RemitError
from server.tasks.events.event_writer import EventWriter, Log
from server.tasks.events.output import CommandOutput, OutputBudget
from server.tasks.secrets import masking
from server.tasks.secrets.variables import Variables
from server.threads import computed
from storage.records.tasks import NewEvent, Run
from templates.redaction import RedactionStream, Redactor

MAX_THOUGHT = 8000
"""Characters of one thought; so much fits into one event."""


class Transcript:
    """Shows what is said as it comes, masked and bounded; what is not kept is counted."""

    def __init__(self, log: Log, run: Run, variables: Variables, budget: OutputBudget, settings: Settings) -> None:
        self._log = log
        self._run = run
        self._variables = variables
        self._budget = budget
        self._most = settings.output_limit
        self._output: CommandOutput | None = None
        self._thought: RedactionStream | None = None
        """Of one that goes on: a secret may begin in one piece and end in the next."""

        self._unkept = 0
        self._speaking = anyio.Lock()
        self.writer = EventWriter(log, run, settings.event_limit)

    async def say(self, text: str) -> None:
        """Show a piece of the answer."""
        async with self._speaking:
            if self._output is None:
                self._output = CommandOutput(self._variables.redactor, self._budget.limit(self._most))
            await self._output.show(text.encode(errors="replace"), self.writer.publish)

    async def pause(self) -> None:
        """What was said so far is whole: show what was held back of it, since it might have begun a secret."""
        async with self._speaking:
            if (output := self._output) is not None:
                self._output = None
                self.writer.publish(await output.finish())
                self._budget.take(output.text)

    async def think(self, description: str, subject: str, *, goes_on: bool = False) -> None:
        """Show one thought, or a piece that `goes_on` in the next: its two ends where it is long.

        Beyond what the task may keep they are counted.
        """
        if self._budget.is_used_up:
            self._unkept += 1
            return
        thought = CommandOutput(Redactor({}), self._budget.limit(MAX_THOUGHT))
        await thought.take(await self._masked(description, goes_on=goes_on))
        self._budget.take(thought.text)
        shown = await masking.redacted(self._variables.redactor, subject)
        if thought.text or shown:
            await self._append_thought(shown[:200], thought.text)

    async def end(self) -> None:
        """Nothing more is said in this run."""
        await self.pause()
        if self._unkept:
            with suppress(RemitError):  # a run that has lost its task is told so elsewhere
                await self._append_thought("", f"[… {self._unkept} thoughts were not kept …]")

    async def _masked(self, piece: str, *, goes_on: bool) -> str:
        """What can be shown of a thought by now."""
        stream = self._thought or self._variables.redactor.stream()
        self._thought = stream if goes_on else None
        masked = await computed(len(piece), stream.feed, piece)
        return masked if goes_on else masked + await computed(stream.held, stream.finish)

    async def _append_thought(self, subject: str, description: str) -> None:
        thought = {"subject": subject, "description": description}
        await self._log.append_events(self._run, [NewEvent("thought", thought)])
