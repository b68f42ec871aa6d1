"""A command that is talked to: the pipes to and from it, and what keeps it within its limits meanwhile."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from server.concurrency import in_background
from server.runner.monitoring.monitor import Monitor
from server.runner.network.callback import RelayProgram
from server.runner.policy import Exit
from server.runner.process import Subprocess, read_some, write_all

_LAST_WORDS = 4000
"""Characters of stderr that are kept, its end."""

_AHEAD = 16
"""Chunks of output that are read before anybody takes them: one megabyte."""


class Pipes:
    """Our ends of a command's stdin and stderr, and for its launcher the other ends."""

    def __init__(self) -> None:
        its_stdin, self.stdin = os.pipe2(os.O_CLOEXEC)
        self.stderr, its_stderr = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.stdin, False)
        os.set_blocking(self.stderr, False)
        self.descriptors = {its_stdin: 0, its_stderr: 2}
        """The other ends, and where the command is to find them."""

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator["Pipes"]:
        """Pipes for as long as the block runs."""
        pipes = cls()
        try:
            yield pipes
        finally:
            pipes.hand_over()
            pipes.close_stdin()
            os.close(pipes.stderr)

    def hand_over(self) -> None:
        """Close the other ends, once the command has them."""
        while self.descriptors:
            os.close(self.descriptors.popitem()[0])

    def close_stdin(self) -> None:
        """Let the command read the end of its input."""
        if self.stdin >= 0:
            stdin, self.stdin = self.stdin, -1
            anyio.notify_closing(stdin)  # whoever waits to write must not wait for what gets this number next
            os.close(stdin)


class PipedProcess:
    """Implements `ProcessIO`. `attend` must be running."""

    def __init__(self, process: Subprocess, pipes: Pipes, monitor: Monitor, relay: RelayProgram | None) -> None:
        self.relay = relay
        """What speaks for the server inside, where the command may talk to it."""

        self._process = process
        self._pipes = pipes
        self._monitor = monitor
        self._output, self._received = anyio.create_memory_object_stream[bytes](_AHEAD)
        self._ended = anyio.Event()
        self._exit: Exit | None = None
        self._words = b""

    async def send(self, data: bytes) -> None:
        """Write all of `data`. Raises BrokenResourceError once the command does not listen any more."""
        if self._pipes.stdin < 0:
            raise anyio.BrokenResourceError
        try:
            await write_all(self._pipes.stdin, data)
        except (ConnectionError, anyio.ClosedResourceError):
            raise anyio.BrokenResourceError from None

    async def receive(self) -> bytes:
        """The next output, 64 KiB at most; nothing at its end."""
        try:
            return await self._received.receive()
        except anyio.EndOfStream:
            return b""

    async def close_input(self) -> None:
        """Let the command read the end of its input."""
        self._pipes.close_stdin()

    async def ended(self) -> Exit:
        """Wait for the end of the command and of everything it started."""
        await self._ended.wait()
        assert self._exit
        return self._exit

    @property
    def last_words(self) -> str:
        """The end of what the command wrote to stderr, not masked: whole lines, so that no secret is cut in two."""
        words = self._words.decode(errors="replace")
        return words if len(words) <= _LAST_WORDS else words[-_LAST_WORDS:].partition("\n")[2]

    async def attend(self) -> None:
        """Take what the command writes and see to its limits, until its end."""
        with self._output, self._received:
            async with in_background(self._drain):
                self._exit = await self._monitor.until_end(self._take)
            self._ended.set()
            await anyio.sleep_forever()  # what was read ahead can still be received

    async def _take(self) -> None:
        while chunk := await self._process.receive():
            await self._output.send(chunk)
        self._output.close()

    async def _drain(self) -> None:
        """Read stderr, whoever cares: a full pipe would stop the command."""
        while chunk := await read_some(self._pipes.stderr):
            self._words = (self._words + chunk)[-4 * _LAST_WORDS :]
