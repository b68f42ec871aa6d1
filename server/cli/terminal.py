"""The controlling terminal: asks the person there, whatever standard input and output are."""

import os
import termios
from collections.abc import Iterator
from contextlib import contextmanager


class Terminal:
    """`/dev/tty`, open while its `with` lasts."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def say(self, text: str) -> None:
        """Write a line; the text must be harmless."""
        self._write(f"{text}\n")

    def ask(self, question: str) -> str | None:
        """Ask for a line; None if the person closed the input with Ctrl-D."""
        termios.tcflush(self._descriptor, termios.TCIFLUSH)  # what was typed before the question is no answer to it
        self._write(question)
        line = b""
        while not line.endswith(b"\n"):
            typed = os.read(self._descriptor, 4096)
            if not typed:
                self._write("\n")
                return None
            line += typed
        return line.decode(errors="replace").removesuffix("\n")

    def ask_hidden(self, question: str) -> str | None:
        """Ask for a line without showing what is typed."""
        with self._silence():
            answer = self.ask(question)
        self._write("\n")
        return answer

    @contextmanager
    def _silence(self) -> Iterator[None]:
        before = termios.tcgetattr(self._descriptor)
        silent = before.copy()
        silent[3] &= ~termios.ECHO  # the local modes: tcgetattr(3)
        termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, silent)
        try:
            yield
        finally:
            termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, before)

    def _write(self, text: str) -> None:
        view = memoryview(text.encode())
        while view:
            view = view[os.write(self._descriptor, view) :]


@contextmanager
def open_terminal() -> Iterator[Terminal | None]:
    """Open the controlling terminal of this process; None if it has none."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield Terminal(descriptor)
    finally:
        os.close(descriptor)
