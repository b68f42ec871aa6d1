"""A command that is talked to, as its other end sees it."""

from typing import Protocol

from server.runner.network.callback import RelayProgram
from server.runner.policy import Exit


class ProcessIO(Protocol):
    """The other end of a running command's stdin and stdout; its stderr is kept out of both."""

    @property
    def relay(self) -> RelayProgram | None:
        """What speaks for the server inside the sandbox, where the command may talk to it."""
        ...

    async def send(self, data: bytes) -> None:
        """Write all of `data`. Raises BrokenResourceError once the command does not listen any more."""
        ...

    async def receive(self) -> bytes:
        """The next output, 64 KiB at most; nothing at its end."""
        ...

    async def close_input(self) -> None:
        """Let the command read the end of its input."""
        ...

    async def ended(self) -> Exit:
        """Wait for the end of the command and of everything it started."""
        ...

    @property
    def last_words(self) -> str:
        """The end of what the command wrote to stderr, whole lines, 4,000 characters at most, not masked."""
        ...
