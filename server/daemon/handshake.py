"""The handshake: one JSON line each way, before the bytes on the socket are MCP.

The shape of the two lines, and the operations `status` and `stop`, never change with the protocol number, so that a
newer client can always ask an older server to end. Standard library only: the pipe imports this.
"""

import json
import os
import socket
import struct

from server.daemon.paths import StatePaths, settings_checksums, settings_digest
from server.errors import Code, RemitError
from server.version import VERSION

PROTOCOL = 1
MAX_LINE = 32 * 1024**2  # bytes: 8 MiB of files inline, in the longest form that hosts write text as JSON, and the rest
TOO_LONG = f"a message may be at most {MAX_LINE // 1024**2} MiB long"
WISHES = ("approvals", "always")  # settings that a window may want stricter than the server has them
PERSON = "person"  # the stricter value of these
SOCKET_PATH_BYTES = 107  # sun_path is 108 with its final zero: unix(7)


class Greeting:
    """A server's first line: its version, process and load."""

    def __init__(self, line: bytes) -> None:
        fields = json.loads(line)["remit"]
        if error := fields.get("error"):
            raise RemitError.of_facts(error["code"], error["message"])
        self.fields: dict[str, object] = fields
        self.protocol: int = fields["protocol"]
        self.version: str = fields["version"]
        self.pid: int = fields["pid"]
        self.settings: str = fields["settings"]
        self.connections: int = fields["connections"]  # beside the one that asked
        self.role = fields.get("role")  # that the server takes this side for; None of a version that did not say
        self.busy = bool(fields["running"] or fields["secretsHeld"])  # its end would lose work or secrets


class Address:
    """The path of a state folder's socket, short enough for the kernel while the `with` lasts."""

    def __init__(self, paths: StatePaths) -> None:
        self._path = paths.socket
        self._folder: int | None = None

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) <= SOCKET_PATH_BYTES:
            return self._path
        folder, name = os.path.split(self._path)
        self._folder = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._folder}/{name}"

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            os.close(self._folder)


class Link:
    """A client's socket on which the server has sent its greeting."""

    def __init__(self, connection: socket.socket, greeting: Greeting) -> None:
        self.socket = connection
        self.greeting = greeting

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def leave(self) -> None:
        """Close the socket, and return once the server no longer counts this connection."""
        with self.socket:
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(4096):
                pass


def reach(paths: StatePaths, op: str, role: str, *, force: bool = False) -> Link | None:
    """Connect to the server of the state folder and exchange the handshake; None if none listens.

    Args:
        paths: of the state folder.
        op: `connect` (MCP follows), `status` or `stop`.
        role: `pipe` or `terminal`.
        force: with `stop`, end the server even if it is busy.

    Raises:
        RemitError: the server's error, or `FORBIDDEN` if it is another user's.
    """
    connection = _dial(paths)
    if connection is None:
        return None
    try:
        greeting = _greet(paths, connection, op, role, force)
    except BaseException:
        connection.close()
        raise
    if greeting is None:
        connection.close()
        return None
    return Link(connection, greeting)


def credentials(connection: socket.socket) -> tuple[int, int]:
    """Return the pid and the uid of the process at the other end, as the kernel reports them."""
    answer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", answer)
    return pid, uid


def encode(fields: dict[str, object]) -> bytes:
    """Return one line of the handshake, without its newline."""
    return json.dumps({"remit": fields}, separators=(",", ":")).encode()


def _dial(paths: StatePaths) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with Address(paths) as address:
            connection.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return connection


def _greet(paths: StatePaths, connection: socket.socket, op: str, role: str, force: bool) -> Greeting | None:
    _, uid = credentials(connection)
    if uid != os.geteuid():
        raise RemitError(Code.FORBIDDEN, "another user's process listens on the socket of this state folder")
    hello = {
        "protocol": PROTOCOL,
        "version": VERSION,
        "op": op,
        "role": role,
        "cwd": _folder(),
        "settings": settings_digest(),
        "variables": settings_checksums(),
        "personOnly": [name for name in WISHES if os.environ.get(f"REMIT_{name.upper()}") == PERSON],
        "force": force,
    }
    try:
        connection.sendall(encode(hello) + b"\n")
        line = _first_line(connection)
    except ConnectionError:
        return None
    if not line:
        return None  # it was about to leave, and nobody listens any more
    try:
        return Greeting(line)
    except (ValueError, LookupError, TypeError) as error:
        raise RemitError(
            Code.EXECUTION_ERROR, f"the program that listens on {paths.socket} does not answer as a remit server"
        ) from error


def _first_line(connection: socket.socket) -> bytes:
    """Return the first line and no byte after it, which is MCP; empty if the connection ended before."""
    line = b""
    while not line.endswith(b"\n"):
        waiting = connection.recv(4096, socket.MSG_PEEK)
        if not waiting:
            return b""
        line += connection.recv(waiting.find(b"\n") + 1 or len(waiting))
    return line


def _folder() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None  # it was removed under us
