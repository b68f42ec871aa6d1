"""The sandbox of this server: looked for until one is found, and then kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import anyio

from server.runner.programs.copies import Programs
from server.runner.sandbox import Sandbox, find_sandbox
from server.runner.tiers.scratch import Scratch


class Shelter:
    """Finds the sandbox once. While there is none every request looks again, so that installing one is enough."""

    def __init__(
        self,
        wanted: Literal["auto", "namespaces", "landlock", "off"],
        scratch: Scratch,
        hidden: Sequence[Path],
        programs: Programs,
    ) -> None:
        """`hidden` is what no command may see, whatever holds it; `programs` are this server's own."""
        self._wanted = wanted
        self._scratch = scratch
        self._hidden = hidden
        self._programs = programs
        self._found: Sandbox | None = None
        self._looking = anyio.Lock()

    async def sandbox(self) -> Sandbox:
        """The sandbox. Raises RemitError (SANDBOX_UNAVAILABLE) that says what is missing and what to do."""
        if self._found is None:
            async with self._looking:
                return await self._look()
        return self._found

    async def _look(self) -> Sandbox:
        if self._found is None:
            self._found = await find_sandbox(self._wanted, self._scratch, self._hidden, self._programs)
        return self._found
