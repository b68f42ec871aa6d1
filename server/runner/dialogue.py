"""The interface to a running command's stdin and stdout."""

from typing import Protocol

from server.runner.network.callback import RelayProgram
from server.runner.policy import Exit


class ProcessIO(Protocol):
    """Stdin and stdout of a running command. Its stderr is read separately."""

    @property
    def relay(self) -> RelayProgram | None:
        """The program that connects to the callback channel from inside; None without a channel."""
        ...

    async def send(self, data: bytes) -> None:
        """Write all of `data`. Raises BrokenResourceError once the command's stdin is closed."""
        ...

    async def receive(self) -> bytes:
        """Return the next output, 64 KiB at most; empty at its end."""
        ...

    async def close_input(self) -> None:
        """Close the command's stdin."""
        ...

    async def ended(self) -> Exit:
        """Wait until the command and every process that it started have ended."""
        ...

    @property
    def last_words(self) -> str:
        """The last whole lines that the command wrote to stderr, 4,000 characters at most, not masked."""
        ...
