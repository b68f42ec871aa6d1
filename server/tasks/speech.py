"""What an agent says and thinks on its way into a task's log."""

from server.tasks.output import Output
from server.tasks.publisher import Publisher
from server.tasks.variables import Variables
from storage.records import NewEvent, Run
from storage.store import Store

MAX_THOUGHTS = 1000
"""Thoughts of a run that are kept; later ones are counted."""

MAX_THOUGHT = 8000
"""Characters of one thought."""


class Speech:
    """Shows what is said as it comes, masked and bounded; what is not kept is counted."""

    def __init__(self, store: Store, run: Run, variables: Variables, limit: int) -> None:
        self._store = store
        self._run = run
        self._variables = variables
        self._left = limit
        self._thoughts = 0
        self._output: Output | None = None
        self.publisher = Publisher(store, run)

    def say(self, text: str) -> None:
        """Show a piece of the answer."""
        if self._output is None:
            self._output = Output(self._variables.redactor, self._left)
        self.publisher.publish(self._output.feed(text.encode(errors="replace")))

    def pause(self) -> None:
        """What was said so far is whole: show what was held back of it, since it might have begun a secret."""
        if self._output is not None:
            self.publisher.publish(self._output.finish())
            self._left = max(self._left - len(self._output.text), 1000)
            self._output = None

    async def think(self, description: str, subject: str) -> None:
        """Show one thought, whole."""
        self._thoughts += 1
        if self._thoughts <= MAX_THOUGHTS:
            thought = self._variables.masked({"subject": subject[:200], "description": description})
            thought["description"] = thought["description"][:MAX_THOUGHT]
            await self._store.append_events(self._run, [NewEvent("thought", thought)])
