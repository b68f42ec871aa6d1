"""A program that draws on the whole terminal, as a person sees it and types into it."""

import os
import re
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyte

from tests import terminals
from tests.servers import PATIENCE

LINES, COLUMNS = 50, 160


class Screen:
    """A terminal with a program at work in it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        """What stands on it now."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def until(self, pattern: str) -> str:
        """Wait until something stands on it; what does then."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text):
            ready, _, _ = select.select([self._descriptor], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"{pattern!r} does not come:\n{self.text}"
            self._stream.feed(self._read())
        return self.text

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._descriptor, keys.encode())

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, 65536)
        except OSError:
            raise AssertionError(f"the program has ended:\n{self.text}") from None


@contextmanager
def running(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> Iterator[Screen]:
    """Yield a program at a terminal; it is ended with the block."""
    process, descriptor = terminals.start(argv, env=env, cwd=cwd, lines=LINES, columns=COLUMNS)
    try:
        yield Screen(descriptor)
    finally:
        process.terminate()
        _drain(process, descriptor)
        os.close(descriptor)


def _drain(process: "subprocess.Popen[bytes]", descriptor: int) -> None:
    """Wait for the end of the program, and read what it still writes: it waits for a reader."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None:
        assert time.monotonic() < deadline, "it does not end"
        ready, _, _ = select.select([descriptor], [], [], 0.1)
        if ready:
            try:
                os.read(descriptor, 65536)
            except OSError:  # nobody has the other end open any more
                process.wait(PATIENCE)
