"""The pipe: what an MCP host starts. It finds or starts the server and passes bytes both ways.

Standard library only, because one runs in every window. Two threads with blocking calls, one each way: the descriptors
are the host's, and making them non-blocking would change them for the host too.
"""

import json
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from server.errors import Code, RemitError
from server.hello import Link
from server.places import Places, find_places
from server.start import Lock, RunServer, claim, connect, notices

CHUNK = 65536  # bytes: what a Linux pipe holds
LAST_ANSWERS = 2.0  # seconds for answers still open when the host closes its end; hosts send SIGTERM after about two
FIRST_REQUEST = 2.0  # seconds to hear the host's first request when all there is for it is an error
SERVER_ERROR = -32000  # JSON-RPC 2.0 leaves -32099 to -32000 to implementations

GONE = "the remit server went away; tasks it acknowledged are safe and go on with the next start of remit"


def main(run_server: RunServer) -> int:
    """Be the pipe until the host or the server ends; the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an end without a traceback, as SIGTERM has it anyway
    if os.isatty(0):
        _say("waiting for an MCP host on standard input; for people there is `remit --help`")
    try:
        return _run(run_server)
    except BrokenPipeError:
        return 0  # the host is gone


class OpenRequests:
    """The requests that were passed on and not answered yet."""

    def __init__(self) -> None:
        self._ids: dict[str | int, None] = {}
        self._changed = threading.Condition()

    def asked(self, lines: bytes) -> None:
        """Note what the host sends; a request it cancels needs no answer."""
        for message in _messages(lines):
            match message:
                case {"method": "notifications/cancelled", "params": {"requestId": str() | int() as key}}:
                    self._forget(key)
                case {"method": str(), "id": str() | int() as key}:
                    self._ids[key] = None

    def answered(self, lines: bytes) -> None:
        """Note what the server sends."""
        for line in lines.splitlines():
            for message in _messages(_beginning(line)):
                match message:
                    case {"method": _}:
                        pass  # a request or notification of its own
                    case {"id": str() | int() as key}:
                        self._forget(key)

    def wait(self, seconds: float) -> None:
        """Return when every request is answered, or after `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._ids, seconds)

    def errors(self, text: str) -> bytes:
        """An error for each request that is open, as lines."""
        return b"".join(_error(key, text) for key in list(self._ids))

    def _forget(self, key: str | int) -> None:
        with self._changed:
            self._ids.pop(key, None)
            self._changed.notify_all()


def _run(run_server: RunServer) -> int:
    try:
        link = _open(find_places(), run_server)
    except RemitError as error:
        return _refuse(error.message)
    if link is None:
        return 0
    for notice in notices(link.greeting):
        _say(notice)
    with link.socket:
        return _pump(link.socket)


def _open(places: Places, run_server: RunServer) -> Link | None:
    """A link to the server; None if it ran inside this process and is done."""
    match os.environ.get("REMIT_SERVER", ""):
        case "":
            return connect("pipe", places)
        case "inline":
            lock = claim(places)
            if lock is None:
                return connect("pipe", places)
            _serve_inline(lock, run_server)
            return None
        case other:
            raise RemitError(Code.VALIDATION_ERROR, f"REMIT_SERVER can only be 'inline' or left out, not '{other}'")


def _serve_inline(lock: Lock, run_server: RunServer) -> None:
    _say("REMIT_SERVER=inline: the server runs inside this process, and its tasks end with this window")
    try:
        run_server(lock.release, True)
    except RemitError:
        raise
    except Exception as error:
        raise RemitError(Code.EXECUTION_ERROR, f"the server ended by an error: {error}") from error
    finally:
        lock.release()


def _pump(server: socket.socket) -> int:
    requests = OpenRequests()
    left = threading.Event()
    threading.Thread(target=_to_server, args=(server, requests, left), daemon=True).start()
    try:
        for lines in _whole_lines(lambda: server.recv(CHUNK)):
            _write(lines)
            requests.answered(lines)
    except ConnectionResetError:
        pass  # it was killed with requests unread
    if left.is_set():
        return 0
    _say(GONE)
    _write(requests.errors(GONE))
    return 1


def _to_server(server: socket.socket, requests: OpenRequests, left: threading.Event) -> None:
    try:
        for lines in _whole_lines(_read_host):
            requests.asked(lines)
            server.sendall(lines)
    except OSError:
        return  # the server is gone; the other thread sees it too
    requests.wait(LAST_ANSWERS)
    left.set()
    server.shutdown(socket.SHUT_RDWR)


def _read_host() -> bytes:
    try:
        return os.read(0, CHUNK)
    except OSError:
        return b""  # a terminal that hung up


def _refuse(text: str) -> int:
    """Say why there is no server, on standard error and in answer to what the host asks first."""
    _say(text)
    requests = OpenRequests()
    heard = b""
    end = time.monotonic() + FIRST_REQUEST
    while not (answer := requests.errors(text)) and select.select([0], [], [], max(0, end - time.monotonic()))[0]:
        chunk = _read_host()
        if not chunk:
            break
        heard += chunk
        requests.asked(heard)
    _write(answer)
    return 1


def _whole_lines(read: Callable[[], bytes]) -> Iterator[bytes]:
    """What `read` returns until it returns nothing, cut so that each piece ends where a line ends."""
    pending = bytearray()
    while chunk := read():
        pending += chunk
        if end := pending.rfind(b"\n", len(pending) - len(chunk)) + 1:
            yield bytes(pending[:end])
            del pending[:end]


def _beginning(line: bytes) -> bytes:
    """An answer as the SDK writes it, without its result: that may be long, and says nothing about whose it is."""
    beginning, result, _ = line.partition(b',"result":')
    return beginning + b"}" if result and beginning.startswith(b'{"jsonrpc":"2.0","id":') else line


def _messages(lines: bytes) -> Iterator[dict[str, object]]:
    for line in lines.splitlines():
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            continue  # the server will say what is wrong with it
        if isinstance(message, dict):
            yield message


def _error(key: str | int, text: str) -> bytes:
    error = {"code": SERVER_ERROR, "message": text}
    return json.dumps({"jsonrpc": "2.0", "id": key, "error": error}).encode() + b"\n"


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def _say(text: str) -> None:
    with suppress(OSError):  # a host may have closed it
        os.write(2, f"remit: {text}\n".encode())
