"""Scripts of ours that run in the sandbox, since what they look at is an adversary's, and so may be what they say."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from server.errors import Code, RemitError
from server.runner.policy import Command, SandboxPolicy
from server.runner.process import ProcessMark
from server.runner.sandbox import Sandbox

MOST_SAID = 64 * 1024
"""Bytes that a script may say, unless it is known to say more."""

Take = Callable[[bytes], Awaitable[None]]


class ScriptFailed(RemitError):
    """A script did not do what it was to do. What programs said of it may hold secrets of the task."""

    def __init__(self, failure: str, said: str = "") -> None:
        super().__init__(Code.EXECUTION_ERROR, f"{failure}: {plain(said)}" if said else failure)
        self.failure = failure
        """In our own words."""
        self.said = said
        """In theirs, as they said it."""


@dataclass(frozen=True, slots=True)
class Script:
    """Some lines for /bin/sh."""

    text: str
    seconds: float
    """That it may take."""

    failure: str
    """What it means that it failed, in words for a person."""

    async def told(self, sandbox: Sandbox, policy: SandboxPolicy, *arguments: str) -> bytes:
        """What it says. Raises ScriptFailed."""
        said = bytearray()
        await self.tell(sandbox, policy, *arguments, take=keeping(said, MOST_SAID))
        return bytes(said)

    async def tell(self, sandbox: Sandbox, policy: SandboxPolicy, *arguments: str, take: Take) -> None:
        """Have what it says taken as it comes. Raises ScriptFailed, also for a RemitError of `take`."""
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
    """Take what is said into `said`, up to so many bytes. Raises RemitError (LIMIT_EXCEEDED) for more."""

    async def keep(chunk: bytes) -> None:
        if len(said) + len(chunk) > most:
            raise RemitError(Code.LIMIT_EXCEEDED, "it says more than it was asked")
        said.extend(chunk)

    return keep


def plain(words: str) -> str:
    """What a program of an adversary says, at its end, in one line of plain characters."""
    return re.sub(r"[^\x20-\x7e]+", " ", words.strip())[-500:]


async def _nothing_to_note(_: ProcessMark) -> None:
    """It ends with this server: bubblewrap's and the supervisor's own doing."""
