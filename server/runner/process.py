"""A process that the server started: its output, and the end of its whole process tree."""

import errno
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from select import POLLIN, poll
from signal import SIGKILL, pidfd_send_signal
from socket import MSG_CMSG_CLOEXEC, recv_fds, socket, socketpair
from subprocess import PIPE, STDOUT, Popen
from typing import Self

import anyio
from anyio.lowlevel import checkpoint

from server.limits import PIPE_BYTES
from server.runner import process_tree
from server.runner.cgroups.control_group import ControlGroup

LONGEST_LINE_BYTES = 4096  # of the launcher's answers, or of an error message in their place
FIRST_LINE_SECONDS = 1.0  # for the launcher's first line, which takes about 15 ms
SUPERVISOR_SECONDS = 2.0  # for the supervisor to end its tree, before the server does


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMark:
    """Identity of a process that outlives this server: process numbers are reused, these three together are not."""

    pid: int
    start_ticks: int
    """Its start time in clock ticks since boot: field 22 of /proc/PID/stat."""

    boot_id: str

    @classmethod
    def of(cls, pid: int) -> "ProcessMark":
        """Read the mark of a living process. Raises ProcessLookupError if there is none."""
        fields = process_tree.stat(pid)
        if not fields:
            raise ProcessLookupError(pid)
        return cls(pid=pid, start_ticks=int(fields[19]), boot_id=_boot_id())

    def is_alive(self) -> bool:
        """Return whether this process still runs."""
        fields = process_tree.stat(self.pid)
        return process_tree.is_alive(fields) and int(fields[19]) == self.start_ticks and self.boot_id == _boot_id()


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


async def read_some(descriptor: int) -> bytes:
    """Return the next bytes of a non-blocking descriptor, at most PIPE_BYTES; empty at its end."""
    await checkpoint()
    while True:
        try:
            return os.read(descriptor, PIPE_BYTES)
        except BlockingIOError:
            await anyio.wait_readable(descriptor)


async def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data` to a non-blocking descriptor.

    Raises ConnectionError once the other end is closed, ClosedResourceError if this end is closed meanwhile.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            await anyio.wait_writable(descriptor)


class Subprocess:
    """A process and its descendants. Its stdin is a socket, over which it can send descriptors; its stdout is a pipe.

    It uses Popen and waits on descriptors. asyncio's transport stops reading when the output is not received, and then
    misses the end of the process. Must be made in a thread that lives on, such as the event loop's: the parent-death
    signal is sent when the thread that started the process ends.

    A `supervised` process ends its own tree when its stdin closes; any other is bubblewrap. `inherited` are descriptors
    that it gets under the same numbers. Raises OSError if it cannot be started.
    """

    def __init__(self, argv: Sequence[str], *, supervised: bool, inherited: Collection[int] = ()) -> None:
        self._stdin, its_stdin = socketpair()
        try:
            self._popen = _start(argv, its_stdin.fileno(), inherited)
        except OSError:
            self._stdin.close()
            raise
        finally:
            its_stdin.close()
        assert self._popen.stdout
        self._stdout = self._popen.stdout
        for end in (self._stdin, self._stdout):
            os.set_blocking(end.fileno(), False)
        self._supervised = supervised
        self._ended = os.pidfd_open(self._popen.pid)
        self._init: int | None = None
        self._init_pid = 0
        self._group: ControlGroup | None = None
        self._ahead = b""
        self._has_answered = False
        self._waiting = anyio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the whole process tree, however the block ended."""
        try:
            with anyio.CancelScope(shield=True):
                await self.end()
        finally:
            self._close()

    @property
    def pid(self) -> int:
        """The process number outside of any namespace."""
        return self._popen.pid

    async def receive(self) -> bytes:
        """Return the next output, at most PIPE_BYTES; empty at its end."""
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        return await read_some(self._stdout.fileno())

    async def receive_line(self) -> str:
        """Return the next line without its newline; a partial one at the end of output or at LONGEST_LINE_BYTES."""
        line = b""
        while b"\n" not in line and len(line) < LONGEST_LINE_BYTES and (chunk := await self.receive()):
            line += chunk
        self._has_answered = True
        line, _, self._ahead = line.partition(b"\n")
        return line.decode(errors="replace")

    async def send(self, data: bytes) -> None:
        """Write all of `data`; what the process does not read before it ends is dropped."""
        with suppress(ConnectionError):
            await write_all(self._stdin.fileno(), data)

    def receive_socket(self) -> socket:
        """Return the socket that the launcher sent over stdin before its "go"."""
        _, descriptors, _, _ = recv_fds(self._stdin, 1, 1, MSG_CMSG_CLOEXEC)
        return socket(fileno=descriptors[0])

    def hold(self, group: ControlGroup | None = None) -> ProcessMark:
        """Open a handle of its namespace's init, whose end is the end of every process in it, and return its mark.

        To be called after the launcher's first line. Moves the launcher into `group`, which all its children inherit.
        Raises OSError if the launcher cannot be moved, ProcessLookupError if the process has ended.

        The init is looked up in /proc, not by bubblewrap's option --info-fd: that one writes to a pipe of the server's,
        and if the server is killed first, bubblewrap dies of it while its child waits for it for ever.
        """
        if not self._supervised and (init := process_tree.child_of(self.pid)) is not None:
            with suppress(ProcessLookupError):
                self._init, self._init_pid = os.pidfd_open(init), init
        if group:
            self._group = group
            self._join(group)
        return ProcessMark.of(self.pid)

    def _join(self, group: ControlGroup) -> None:
        above = process_tree.child_of(self.pid) if self._supervised else self._init_pid  # the inner supervisor, or init
        launcher = process_tree.child_of(above or self.pid)
        if launcher is None:
            raise ProcessLookupError(errno.ESRCH, "the launcher has ended")
        group.add(launcher)

    def sees(self, folder: Path) -> tuple[int, int] | None:
        """Return device and inode of a folder in its mount namespace; None if it has no namespace. Raises OSError."""
        if self._init is None:
            return None
        status = os.stat(f"/proc/{self._init_pid}/root{folder}", follow_symlinks=False)
        return status.st_dev, status.st_ino

    def outnumbers(self, limit: int) -> bool:
        """Return whether its process namespace has more than `limit` processes; False if that cannot be read.

        Counts in the namespace's own /proc and stops at the limit, since a fork bomb would grow faster than a count.
        """
        with suppress(OSError), os.scandir(f"/proc/{self._init_pid}/root/proc") as entries:
            processes = (entry for entry in entries if entry.name.isdigit())
            return next(islice(processes, limit, None), None) is not None
        return False

    async def wait(self) -> int:
        """Wait until it and its namespace have ended; return its exit status, 128 + N if signal N ended it."""
        async with self._waiting:  # anyio allows one waiter for each descriptor
            await anyio.wait_readable(self._ended)
            if self._init is not None:
                await anyio.wait_readable(self._init)
        code = self._popen.wait()
        return 128 - code if code < 0 else code

    async def end(self) -> None:
        """Kill it and all its descendants, and wait until they have ended."""
        if self._group:
            self._group.kill()
        if self._supervised:
            self._stdin.close()  # makes the supervisor end its tree
            with anyio.move_on_after(SUPERVISOR_SECONDS):
                await self.wait()
                return
            await anyio.to_thread.run_sync(process_tree.end_descendants, self.pid)
        else:
            await self._await_first_line()
        self._popen.kill()  # bubblewrap's init dies with it, and the namespace with its init
        await self.wait()

    async def _await_first_line(self) -> None:
        """Wait until the launcher runs: bubblewrap that is killed while it starts leaves its child behind."""
        with anyio.move_on_after(FIRST_LINE_SECONDS):
            if not self._has_answered and await self.receive_line() == "ready":
                self.hold()

    def _close(self) -> None:
        self._stdin.close()
        self._stdout.close()
        for descriptor in (self._ended, self._init):
            if descriptor is not None:
                os.close(descriptor)


def end_leftover(mark: ProcessMark) -> bool:
    """Kill the process tree that a dead server left behind, and wait for its end. Return whether there was one.

    Blocks. Raises TimeoutError if a process is still alive after five seconds.
    """
    try:
        ended = os.pidfd_open(mark.pid)
    except ProcessLookupError:
        return False
    try:
        if not mark.is_alive():
            return False
        process_tree.end_descendants(mark.pid)
        with suppress(ProcessLookupError):
            pidfd_send_signal(ended, SIGKILL)
        _await_end(ended)
        return True
    finally:
        os.close(ended)


def _await_end(process: int) -> None:
    events = poll()
    events.register(process, POLLIN)
    if not events.poll(process_tree.END_SECONDS * 1000):
        raise TimeoutError("a process left by a dead server cannot be killed")


def _start(argv: Sequence[str], stdin: int, inherited: Collection[int]) -> Popen[bytes]:
    """Start a process without the server's environment, working folder and session."""
    return Popen(
        argv,
        bufsize=0,
        stdin=stdin,
        stdout=PIPE,
        stderr=STDOUT,
        env={},
        cwd="/",
        start_new_session=True,
        pass_fds=tuple(inherited),
    )
