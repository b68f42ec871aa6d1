"""A running command with piped stdin and stdout, and the loop that reads it and enforces its limits."""

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
"""Characters kept of the end of stderr."""

_AHEAD = 16
"""Chunks of output that are read before the caller receives them: 1 MiB in all."""


class Pipes:
    """Pipes for a command's stdin and stderr: the server's ends, and the launcher's until `hand_over`."""

    def __init__(self) -> None:
        its_stdin, self.stdin = os.pipe2(os.O_CLOEXEC)
        self.stderr, its_stderr = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.stdin, False)
        os.set_blocking(self.stderr, False)
        self.descriptors = {its_stdin: 0, its_stderr: 2}
        """The launcher's ends, each with its descriptor number in the command."""

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator["Pipes"]:
        """Open the pipes, and close them after the block."""
        pipes = cls()
        try:
            yield pipes
        finally:
            pipes.hand_over()
            pipes.close_stdin()
            os.close(pipes.stderr)

    def hand_over(self) -> None:
        """Close the launcher's ends. To be called once the launcher has inherited them."""
        while self.descriptors:
            os.close(self.descriptors.popitem()[0])

    def close_stdin(self) -> None:
        """Close the command's stdin."""
        if self.stdin >= 0:
            stdin, self.stdin = self.stdin, -1
            anyio.notify_closing(stdin)  # a waiting writer must not wait on the next file that gets this number
            os.close(stdin)


class PipedProcess:
    """A running command; implements `ProcessIO`. `serve` must run meanwhile."""

    def __init__(self, process: Subprocess, pipes: Pipes, monitor: Monitor, relay: RelayProgram | None) -> None:
        self.relay = relay
        """The program that connects to the callback channel from inside; None without a channel."""

        self._process = process
        self._pipes = pipes
        self._monitor = monitor
        self._output, self._received = anyio.create_memory_object_stream[bytes](_AHEAD)
        self._ended = anyio.Event()
        self._exit: Exit | None = None
        self._words = b""

    async def send(self, data: bytes) -> None:
        """Write all of `data`. Raises BrokenResourceError once the command's stdin is closed."""
        if self._pipes.stdin < 0:
            raise anyio.BrokenResourceError
        try:
            await write_all(self._pipes.stdin, data)
        except (ConnectionError, anyio.ClosedResourceError):
            raise anyio.BrokenResourceError from None

    async def receive(self) -> bytes:
        """Return the next output, 64 KiB at most; empty at its end."""
        try:
            return await self._received.receive()
        except anyio.EndOfStream:
            return b""

    async def close_input(self) -> None:
        """Close the command's stdin."""
        self._pipes.close_stdin()

    async def ended(self) -> Exit:
        """Wait until the command and every process that it started have ended."""
        await self._ended.wait()
        assert self._exit
        return self._exit

    @property
    def last_words(self) -> str:
        """The last lines that the command wrote to stderr, not masked; whole lines, so that no secret is cut in two."""
        words = self._words.decode(errors="replace")
        return words if len(words) <= _LAST_WORDS else words[-_LAST_WORDS:].partition("\n")[2]

    async def serve(self) -> None:
        """Read the command's output and enforce its limits until it ends; then keep the output until cancelled."""
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
        """Read stderr all the time: a full pipe would stop the command."""
        while chunk := await read_some(self._pipes.stderr):
            self._words = (self._words + chunk)[-4 * _LAST_WORDS :]
