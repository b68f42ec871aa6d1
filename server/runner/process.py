"""A process of ours, from the first line it says to the last process beneath it."""

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

from server.runner import process_tree
from server.runner.cgroups.control_group import ControlGroup

CHUNK_BYTES = 65536  # what a pipe holds
LONGEST_LINE_BYTES = 4096  # of the launcher's answers, or of what fails in its place
FIRST_WORD_SECONDS = 1.0  # to say it; it takes some 15 ms
SUPERVISOR_SECONDS = 2.0  # to end its tree, before we do it ourselves


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMark:
    """Enough to know a process again after this server has died: numbers are used again, these three are not."""

    pid: int
    start_ticks: int
    """Its start, in clock ticks since boot: field 22 of /proc/PID/stat."""

    boot_id: str

    @classmethod
    def of(cls, pid: int) -> "ProcessMark":
        """Read the mark of a living process. Raises ProcessLookupError if there is none."""
        fields = process_tree.stat(pid)
        if not fields:
            raise ProcessLookupError(pid)
        return cls(pid=pid, start_ticks=int(fields[19]), boot_id=_boot_id())

    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        fields = process_tree.stat(self.pid)
        return process_tree.is_alive(fields) and int(fields[19]) == self.start_ticks and self.boot_id == _boot_id()


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


async def read_some(descriptor: int) -> bytes:
    """The next bytes of a descriptor that does not block, at most CHUNK_BYTES; nothing at its end."""
    await checkpoint()
    while True:
        try:
            return os.read(descriptor, CHUNK_BYTES)
        except BlockingIOError:
            await anyio.wait_readable(descriptor)


async def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data` to a descriptor that does not block.

    Raises ConnectionError once nobody reads it, ClosedResourceError if it is closed meanwhile.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            await anyio.wait_writable(descriptor)


class Subprocess:
    """A process, and whatever it starts; its stdin is a socket, over which it can hand out others, its stdout a pipe.

    Popen and waits on descriptors, not asyncio's transport: that one stops reading when nobody takes the output, and
    then does not learn of the end. To be made in a thread that lives on, such as the event loop's: what is to die
    with its parent dies with the thread that started it.

    A `supervised` process is not bubblewrap; it ends its own tree when its stdin ends. `inherited` are descriptors that
    it finds under the same numbers. Raises OSError if it cannot be started.
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
        self._has_spoken = False
        self._waiting = anyio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Whatever the way out, nothing of it is left."""
        try:
            with anyio.CancelScope(shield=True):
                await self.end()
        finally:
            self._close()

    @property
    def pid(self) -> int:
        """Its process number out here, whatever it is inside."""
        return self._popen.pid

    async def receive(self) -> bytes:
        """The next output, at most CHUNK_BYTES; nothing at its end."""
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        return await read_some(self._stdout.fileno())

    async def receive_line(self) -> str:
        """The next line without its end; what there is, if the output ends or the line does not."""
        line = b""
        while b"\n" not in line and len(line) < LONGEST_LINE_BYTES and (chunk := await self.receive()):
            line += chunk
        self._has_spoken = True
        line, _, self._ahead = line.partition(b"\n")
        return line.decode(errors="replace")

    async def send(self, data: bytes) -> None:
        """Write all of it, or as much as it reads before it ends."""
        with suppress(ConnectionError):
            await write_all(self._stdin.fileno(), data)

    def receive_socket(self) -> socket:
        """The socket that it handed out before it said its last word."""
        _, descriptors, _, _ = recv_fds(self._stdin, 1, 1, MSG_CMSG_CLOEXEC)
        return socket(fileno=descriptors[0])

    def hold(self, group: ControlGroup | None = None) -> ProcessMark:
        """Take hold of its namespace's init, whose end is the end of all in it. To be called once it speaks.

        What speaks goes into the `group`, and so will all that it starts. Raises OSError if it cannot.

        Not bubblewrap's own report of it: that writes to a pipe of ours, and if we are killed before it does, it dies
        of that while its child waits for it, for ever.
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
        """The device and the inode of a folder in its own mounts; None where it has none. Raises OSError."""
        if self._init is None:
            return None
        status = os.stat(f"/proc/{self._init_pid}/root{folder}", follow_symlinks=False)
        return status.st_dev, status.st_ino

    def outnumbers(self, limit: int) -> bool:
        """Whether its namespace has more processes than that, by a glance at the namespace's own /proc.

        It counts no further than it must, since a fork bomb would outrun it; False where it cannot tell.
        """
        with suppress(OSError), os.scandir(f"/proc/{self._init_pid}/root/proc") as entries:
            processes = (entry for entry in entries if entry.name.isdigit())
            return next(islice(processes, limit, None), None) is not None
        return False

    async def wait(self) -> int:
        """Wait for its end and its namespace's; its status, or 128 + N if signal N ended it."""
        async with self._waiting:  # several may wait, but only one for each descriptor
            await anyio.wait_readable(self._ended)
            if self._init is not None:
                await anyio.wait_readable(self._init)
        code = self._popen.wait()
        return 128 - code if code < 0 else code

    async def end(self) -> None:
        """Kill it and everything beneath it, and wait until that is so."""
        if self._group:
            self._group.kill()
        if self._supervised:
            self._stdin.close()  # which tells the supervisor to end everything
            with anyio.move_on_after(SUPERVISOR_SECONDS):
                await self.wait()
                return
            await anyio.to_thread.run_sync(process_tree.end_descendants, self.pid)
        else:
            await self._hear_out()
        self._popen.kill()  # bubblewrap's init dies with it, and the namespace with its init
        await self.wait()

    async def _hear_out(self) -> None:
        """Let what was just started say its first word: killed in its first steps, bubblewrap leaves its child."""
        with anyio.move_on_after(FIRST_WORD_SECONDS):
            if not self._has_spoken and await self.receive_line() == "ready":
                self.hold()

    def _close(self) -> None:
        self._stdin.close()
        self._stdout.close()
        for descriptor in (self._ended, self._init):
            if descriptor is not None:
                os.close(descriptor)


def end_leftover(mark: ProcessMark) -> bool:
    """Kill what a dead server left behind, the whole tree, and wait until it is gone; True if there was any.

    Raises TimeoutError if some of it is still there after five seconds.
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
    """Start it with nothing else of ours: not our environment, not our folder, not our session."""
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
