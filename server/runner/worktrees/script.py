"""The server's own shell scripts that run in the sandbox: their input is an adversary's, and so may be their output."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from server.errors import Code, RemitError
from server.runner.policy import Command, SandboxPolicy
from server.runner.process import ProcessMark
from server.runner.sandbox import Sandbox

MOST_SAID = 64 * 1024
"""Default limit of a script's output, in bytes."""

Take = Callable[[bytes], Awaitable[None]]


class ScriptFailed(RemitError):
    """A failed script. Its output, `said`, may contain secrets of the task."""

    def __init__(self, failure: str, said: str = "") -> None:
        super().__init__(Code.EXECUTION_ERROR, f"{failure}: {plain(said)}" if said else failure)
        self.failure = failure
        """The server's own description of the failure."""
        self.said = said
        """The error output of the script's programs, unchanged."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script for /bin/sh."""

    text: str
    seconds: float
    """Its time limit."""

    failure: str
    """The error message if it fails, for users."""

    async def told(self, sandbox: Sandbox, policy: SandboxPolicy, *arguments: str) -> bytes:
        """Run the script and return its output, at most MOST_SAID bytes. Raises ScriptFailed."""
        said = bytearray()
        await self.tell(sandbox, policy, *arguments, take=keeping(said, MOST_SAID))
        return bytes(said)

    async def tell(self, sandbox: Sandbox, policy: SandboxPolicy, *arguments: str, take: Take) -> None:
        """Run the script, and await `take` for each chunk of its output. Raises ScriptFailed, also for a RemitError of
        `take`."""
        try:
            with anyio.fail_after(self.seconds):
                await self._run(sandbox, policy, arguments, take)
        except TimeoutError:
            raise ScriptFailed(f"{self.failure} in {self.seconds:.0f} s") from None
        except ScriptFailed:
            raise
        except RemitError as error:
            raise ScriptFailed(f"{self.failure}: {error.message}") from error

    async def _run(self, sandbox: Sandbox, policy: SandboxPolicy, arguments: tuple[str, ...], take: Take) -> None:
        command = Command(argv=("/bin/sh", "-c", self.text, "sh", *arguments), env={})
        async with sandbox.talk(command, policy, started=_nothing_to_note) as process_io:
            await process_io.close_input()
            while chunk := await process_io.receive():
                await take(chunk)
            ended = await process_io.ended()
            if ended.limit:
                raise ScriptFailed(f"{self.failure}: {ended.limit}")
            if ended.status:
                raise ScriptFailed(self.failure, process_io.last_words or "no reason was given")


def keeping(said: bytearray, most: int) -> Take:
    """Return a `take` that appends to `said` up to `most` bytes. It raises RemitError (LIMIT_EXCEEDED) for more."""

    async def keep(chunk: bytes) -> None:
        if len(said) + len(chunk) > most:
            raise RemitError(Code.LIMIT_EXCEEDED, "git printed more than the script expects")
        said.extend(chunk)

    return keep


def plain(words: str) -> str:
    """Return the last 500 characters of an adversary's text, as one line of printable ASCII."""
    return re.sub(r"[^\x20-\x7e]+", " ", words.strip())[-500:]


async def _nothing_to_note(_: ProcessMark) -> None:
    """Record nothing: the tier ends the script if this server dies."""
