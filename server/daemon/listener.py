"""The listening socket of a state folder's owner: accepts connections, and ends the server when it is idle."""

import ctypes
import json
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, Self

import anyio
from anyio.abc import SocketStream, TaskGroup

from server.daemon import peers
from server.daemon.connection import Connection, Peer
from server.daemon.handshake import PROTOCOL, WISHES, Address, credentials, encode
from server.daemon.line_memory import LineMemory
from server.daemon.ownership import Ownership
from server.daemon.paths import StatePaths
from server.daemon.peers import Standing
from server.errors import Code, RemitError

HELLO_SECONDS = 10.0  # a client of remit sends its hello at once; anything else is closed
MAX_HELLO = 64 * 1024  # bytes of its line: a role, a folder, and the checksums of some variables
FIRST_VISIT = 5.0  # seconds for the client that started the server to connect, however short `idle_exit` is
RECHECK = 0.1  # seconds at least between two looks at whether there is work left
BACKLOG = 1024  # windows that may start at the same instant; the kernel caps it at net.core.somaxconn
LOOK = 2.0  # seconds between two looks at whether the state folder, and the socket in it, are still this server's
DESCRIPTORS = 65_536  # a window takes one, a command that runs some ten; where the hard limit is higher, this is enough
PR_SET_DUMPABLE = 4  # linux/prctl.h

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Load:
    """The work of a server, which its end would affect: open tasks, and secrets in memory."""

    running: int
    """Tasks at work, and pending ones, for which a slot is all that is missing."""

    waiting: int
    """The other open tasks, which wait for others or for a person."""

    secrets_held: int

    @property
    def busy(self) -> bool:
        """Whether ending the server would lose work or secrets; waiting tasks are safe on disk."""
        return bool(self.running or self.secrets_held)


class Application(Protocol):
    """The application that the daemon serves to its connections."""

    async def serve(self, connection: Connection) -> None:
        """Serve one connection until it ends."""

    async def load(self) -> Load:
        """Return the current load."""


def harden() -> None:
    """Keep secrets in memory out of core dumps and other processes of the user, and new files from other users.

    It also raises the soft limit of descriptors, which is 1024 on many systems. Raises OSError.
    """
    os.umask(0o077)
    _raise_descriptors()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")


def _raise_descriptors() -> None:
    """Raise the limit of descriptors as far as allowed, DESCRIPTORS at most; commands have a limit of their own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def serve(
    application: Application,
    *,
    ownership: Ownership,
    version: str,
    settings_digest: str,
    idle_exit: float,
    ready: Callable[[], None],
) -> None:
    """Serve `application` on the socket of the state folder, which the caller owns, until asked to stop.

    Args:
        application: what to serve.
        ownership: of the state folder, held.
        version: of this server, sent to clients.
        settings_digest: of this server's environment, sent to clients.
        idle_exit: seconds without a connection and without work after which the server ends.
        ready: called once, when the socket listens.
    """
    greeting = {
        "protocol": PROTOCOL,
        "version": version,
        "pid": os.getpid(),
        "settings": settings_digest,
        "startedAt": _now(),
        "state": ownership.paths.state,
    }
    await _Daemon(application, ownership, greeting, idle_exit).run(ready)


class _Daemon:
    def __init__(
        self, application: Application, ownership: Ownership, greeting: dict[str, Any], idle_exit: float
    ) -> None:
        self._application = application
        self._ownership = ownership
        self._greeting = greeting
        self._idle_exit = idle_exit
        self._line_memory = LineMemory()
        self._open: set[Connection] = set()
        self._connected = 0
        self._visited = anyio.Event()
        self._deserted = anyio.Event()
        self._deserted.set()
        self._stop = anyio.Event()

    async def run(self, ready: Callable[[], None]) -> None:
        with _Listener(self._ownership.paths) as listener:
            async with anyio.create_task_group() as group:
                try:
                    group.start_soon(self._stop_on_signal)
                    group.start_soon(self._stop_when_idle)
                    group.start_soon(self._listen, listener, group)
                    ready()
                    logger.info("listening, pid %d", os.getpid())
                    await self._stop.wait()
                finally:
                    listener.unlink()
                    await self._close_connections()
                    group.cancel_scope.cancel()

    async def _listen(self, listener: "_Listener", group: TaskGroup) -> None:
        """Accept connections; bind a new socket if it is removed, and stop if the state folder is lost."""
        while True:
            async with anyio.create_task_group() as accepting:
                accepting.start_soon(self._accept, listener.socket, group)
                await self._until_unreachable(listener)
                accepting.cancel_scope.cancel()
            try:
                listener.bind_anew()
            except OSError as error:
                logger.error("%s is gone and cannot be made anew now: %s", listener.path, error.strerror)
            else:
                logger.warning("%s was removed, and is made anew", listener.path)

    async def _until_unreachable(self, listener: "_Listener") -> None:
        """Return when the socket is gone; stop the server if the state folder is."""
        while not self._stop.is_set():
            await anyio.sleep(LOOK)
            if why := self._ownership.loss():
                logger.error("stopping: %s; its tasks end, and what was written since may be lost", why)
                self._stop.set()
            elif not listener.is_there:
                return
        await anyio.sleep_forever()

    async def _stop_on_signal(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for number in signals:
                logger.info("stopping: %s", number.name)
                self._stop.set()

    async def _stop_when_idle(self) -> None:
        with anyio.move_on_after(FIRST_VISIT):
            await self._visited.wait()
        quiet = False
        while not quiet or await self._is_busy():
            await self._deserted.wait()
            with anyio.move_on_after(max(self._idle_exit, RECHECK)) as scope:
                await self._visited.wait()
            quiet = scope.cancelled_caught
        logger.info("stopping: nothing to do for %g s", self._idle_exit)
        self._stop.set()

    async def _is_busy(self) -> bool:
        """Return whether ending the server would lose something; True if that cannot be determined now."""
        try:
            return (await self._application.load()).busy
        except (RemitError, OSError) as error:
            logger.error("whether there is work left cannot be found out now: %s", error)
            return True

    @contextmanager
    def _visit(self) -> Iterator[None]:
        """Count a connection."""
        self._connected += 1
        if self._connected == 1:
            self._deserted = anyio.Event()
            self._visited.set()
        try:
            yield
        finally:
            self._connected -= 1
            if self._connected == 0:
                self._visited = anyio.Event()
                self._deserted.set()

    async def _accept(self, listener: socket.socket, group: TaskGroup) -> None:
        while True:
            await anyio.wait_readable(listener)
            try:
                accepted, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue  # the client is gone
            except OSError as error:
                logger.error("no connection can be accepted: %s; those who wait keep their place", error.strerror)
                await anyio.sleep(1)
            else:
                group.start_soon(self._receive, accepted)

    async def _receive(self, accepted: socket.socket) -> None:
        pid, uid = credentials(accepted)
        standing = peers.standing(accepted, pid)
        stream = await SocketStream.from_socket(accepted)
        peer = Peer(uid=uid, pid=pid, role="", cwd=None, standing=standing)
        connection = Connection(stream, peer, self._line_memory)
        self._open.add(connection)
        try:
            await self._converse(connection)
        except* (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the peer left while it was being answered
        except* Exception:
            logger.exception("the connection of process %d ended by an error", pid)
        finally:
            self._open.discard(connection)
            with anyio.CancelScope(shield=True):
                await connection.aclose()

    async def _converse(self, connection: Connection) -> None:
        try:
            with anyio.fail_after(HELLO_SECONDS):
                hello = await self._hello(connection)
        except TimeoutError:
            return
        except RemitError as error:
            await connection.send_line(encode({"error": {"code": error.code, "message": error.message}}))
            return
        await connection.send_line(encode({**await self._greet(), "role": connection.peer.role}))
        match hello:
            case {"op": "stop"}:
                logger.info("stopping: asked by process %d", connection.peer.pid)
                self._stop.set()
            case {"op": "connect", "protocol": protocol} if protocol == PROTOCOL:
                with self._visit():
                    await self._application.serve(connection)

    async def _hello(self, connection: Connection) -> dict[str, Any]:
        """Return the first line of a peer that may connect. Raises RemitError.

        A line of our own user is read in any case: if a connection is closed with unread input, the answer is lost.
        """
        peer = connection.peer
        if peer.uid != os.geteuid():
            raise RemitError(Code.FORBIDDEN, "this server belongs to another user")
        line = await connection.receive_line(MAX_HELLO) or b""
        if peer.standing is Standing.TASK:
            raise peers.turned_away(peer.pid)
        hello = _understood(line)
        load = await self._application.load()
        if hello["op"] == "stop" and load.busy and not hello.get("force"):
            raise RemitError(
                Code.CONFLICT,
                f"the server is busy: {load.running} running or pending tasks, {load.secrets_held} secrets in memory",
            )
        connection.peer = replace(
            peer,
            role=peers.believed(hello["role"], peer.standing, peer.pid),
            cwd=_folder(hello.get("cwd")),
            variables=_checksums(hello.get("variables")),
            person_only=_wishes(hello.get("personOnly")),
        )
        return hello

    async def _greet(self) -> dict[str, Any]:
        load = await self._application.load()
        return {
            **self._greeting,
            "connections": self._connected,
            "running": load.running,
            "waiting": load.waiting,
            "secretsHeld": load.secrets_held,
        }

    async def _close_connections(self) -> None:
        """Close all connections before their calls are cancelled, which peers would see as failed calls.

        Lines being sent to peers that do not read are abandoned.
        """
        with anyio.CancelScope(shield=True):
            for connection in list(self._open):
                await connection.aclose()


class _Listener:
    """The listening socket of the state folder."""

    def __init__(self, paths: StatePaths) -> None:
        self.path = paths.socket
        self._paths = paths
        _unlink(self.path)  # left by a killed server: this process owns the state folder now
        self.socket = self._bound()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def is_there(self) -> bool:
        """Whether its path still leads to it."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return False
        except OSError:
            return True  # unknown on a failing disk
        return (status.st_dev, status.st_ino) == self._identity

    def bind_anew(self) -> None:
        """Bind a new socket in its place. Raises OSError."""
        _unlink(self.path)
        former, self.socket = self.socket, self._bound()
        former.close()

    def unlink(self) -> None:
        """Remove the socket's file, unless another one is in its place."""
        if self.is_there:
            _unlink(self.path)

    def _bound(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with Address(self._paths) as address:
                listener.bind(address)
            os.chmod(self.path, 0o600)
            listener.listen(BACKLOG)
            listener.setblocking(False)
            status = os.stat(self.path)
        except BaseException:
            listener.close()
            raise
        self._identity = status.st_dev, status.st_ino
        return listener


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _understood(line: bytes) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        message: dict[str, dict[str, Any]] = json.loads(line)
        match message:
            case {"remit": {"op": "connect" | "status" | "stop", "role": "pipe" | "terminal"} as hello}:
                return hello
    raise RemitError(Code.VALIDATION_ERROR, "the first line must be the hello of a remit client")


def _folder(told: object) -> Path | None:
    return Path(told) if isinstance(told, str) and os.path.isabs(told) else None


def _checksums(told: object) -> dict[str, str] | None:
    if not isinstance(told, dict):
        return None
    return {str(name): str(checksum) for name, checksum in told.items() if str(name).startswith("REMIT_")}


def _wishes(told: object) -> frozenset[str]:
    return frozenset(name for name in told if name in WISHES) if isinstance(told, list) else frozenset()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
