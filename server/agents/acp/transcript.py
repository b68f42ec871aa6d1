"""Transcript of an agent: its messages, thoughts and plans, piece by piece as they come."""

from server.agents.acp.schema import ContentChunk, Plan
from server.agents.interface import Turn
from server.limits import MAX_EVENT_TEXT

_MARKS = {"completed": "[x]", "in_progress": "[>]"}


class AcpTranscript:
    """Shows it through the turn: messages at once, thoughts when they are whole, plans when they change."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._thought = ""
        self._goes_on = False
        self._message_id: str | None = None
        self._last = ""
        self._plan = ""

    async def say(self, chunk: ContentChunk) -> bool:
        """Show a piece of a message; returns whether it had any visible text."""
        text = chunk.content.shown
        if not text:
            return False
        if self._last and self._last != "\n" and chunk.message_id != self._message_id:
            text = f"\n\n{text}"
        self._message_id = chunk.message_id
        self._last = text[-1]
        await self._turn.say(text)
        return bool(text.strip())

    def pause(self) -> None:
        """End the current message: text that follows begins a new one."""
        self._message_id = ""

    async def think(self, chunk: ContentChunk) -> None:
        """Take a piece of a thought."""
        self._thought += chunk.content.shown
        while len(self._thought) >= MAX_EVENT_TEXT:
            thought, self._thought = self._thought[:MAX_EVENT_TEXT], self._thought[MAX_EVENT_TEXT:]
            self._goes_on = True
            await self._turn.think(thought, goes_on=True)

    async def finish_thought(self) -> None:
        """Show the current thought, which has ended."""
        thought, self._thought = self._thought.rstrip(), ""
        if thought.strip() or self._goes_on:
            self._goes_on = False
            await self._turn.think(thought)

    async def plan(self, plan: Plan) -> None:
        """Show a whole plan, if it differs from the last one."""
        text = "\n".join(f"{_MARKS.get(entry.status, '[ ]')} {entry.content}" for entry in plan.entries)
        if text and text != self._plan:
            self._plan = text
            await self._turn.think(text, "Plan")
