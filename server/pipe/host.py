"""The MCP host's end of the pipe: its two descriptors, and the detection of its end.

Reading and writing block: the descriptors are shared with the host, and making them non-blocking would affect it too.
"""

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from server.limits import PIPE_BYTES

LAST_ANSWERS = 1.0
"""Seconds for open answers after the host closes its end; hosts send SIGTERM after about two."""

STUCK = LAST_ANSWERS + 0.5
"""Seconds without a byte moved after which the pipe of a host that is gone is ended, whatever it waits for."""

_UNREAD = 0
"""No event for `poll` but those that it always reports: an error or a hang-up, when no reader is left."""


class HostStreams:
    """The streams of the host that started this process.

    The host is gone when it closes our standard input. Another process that it started may hold the writing end of our
    input for ever, so it is gone, too, when nobody can read our standard output, or when our parent has ended: its
    process, not its thread as with PR_SET_PDEATHSIG. Our parent may be a wrapper that the host started.
    """

    def __init__(self, stdin: int, stdout: int) -> None:
        self.is_gone = False
        self._stdin = stdin
        self._stdout = stdout
        self._parent = _parent()
        self._woken = os.eventfd(0)
        self._writing = threading.Lock()
        self._moved = 0
        self._patient = False
        self._readable = select.poll()
        for descriptor in self._own(stdin):
            self._readable.register(descriptor, select.POLLIN)
        self._readable.register(stdout, _UNREAD)

    def read(self) -> bytes | None:
        """Return what the host has sent next; empty once it is gone, None if there is nothing, as after `wake`."""
        ready = {descriptor for descriptor, _ in self._readable.poll()}
        if self._woken in ready:
            os.eventfd_read(self._woken)
            return b"" if self.is_gone else None
        if self._stdin not in ready:
            return b""  # our parent has ended, or nobody reads what we write
        try:
            chunk = os.read(self._stdin, PIPE_BYTES)
        except BlockingIOError:
            return None  # it is shared, and another process has read what was there
        except OSError:
            return b""  # a terminal that hung up
        self.has_moved()
        return chunk

    def write(self, data: bytes) -> None:
        """Send whole lines to the host, from any thread; nothing if it no longer reads."""
        view = memoryview(data)
        try:
            with self._writing:
                while view and not self.is_gone:
                    view = view[self._written(view) :]
                    self.has_moved()
        except OSError:
            self.is_gone = True
            self.wake()

    def wake(self) -> None:
        """Make `read` return."""
        os.eventfd_write(self._woken, 1)

    def has_moved(self) -> None:
        """Record that a byte was transferred."""
        self._moved += 1

    @contextmanager
    def patience(self) -> Iterator[None]:
        """Do not end the pipe of a host that is gone during the block, which has a time limit of its own."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False
            self.has_moved()

    def watch(self, end: Callable[[], None]) -> None:
        """Call `end`, in a thread, when the host is gone and nothing is transferred any more."""
        threading.Thread(target=self._watch, args=(end,), daemon=True).start()

    def _watch(self, end: Callable[[], None]) -> None:
        gone = select.poll()
        gone.register(self._stdin, select.POLLRDHUP)
        gone.register(self._stdout, _UNREAD)
        if self._parent is not None:
            gone.register(self._parent, select.POLLIN)
        gone.poll()
        before = -1
        while self._patient or before != self._moved:
            before = self._moved
            time.sleep(STUCK)
        end()

    def _written(self, view: memoryview) -> int:
        """Write some bytes; returns how many. Raises OSError if the host no longer reads."""
        try:
            return os.write(self._stdout, view)
        except BlockingIOError:  # another process that shares the descriptor has made it non-blocking
            _writable(self._stdout).poll()
            return 0

    def _own(self, stdin: int) -> list[int]:
        return [stdin, self._woken] + ([] if self._parent is None else [self._parent])


def say(text: str) -> None:
    """Write a line to the host's log (standard error); nothing if it is full, because some hosts never read it."""
    with suppress(OSError):  # a host may have closed it
        if _writable(2).poll(0):
            os.write(2, f"remit: {text}\n".encode()[: select.PIPE_BUF])


def _writable(descriptor: int) -> select.poll:
    """Return a poll object that waits for room for `PIPE_BUF` bytes."""
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    return room


def _parent() -> int | None:
    """Return a descriptor that is readable once our parent has ended; None if the kernel cannot tell."""
    try:
        return os.pidfd_open(os.getppid())
    except OSError:
        return None  # it is outside of our namespace of processes
