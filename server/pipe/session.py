"""A host's session, over the servers that it has one after the other.

When a server ends, the host's connection does not. Open requests that only read are repeated on the next server; the
others are answered with an error, because it is unknown whether they were done. The next server is found or started
when it is needed: at once for repeated requests, else at the host's next request. So an idle window does not undo
`remit server stop`.
"""

import socket
import threading
import time
from collections.abc import Callable

from server.daemon.handshake import MAX_LINE, TOO_LONG, Link
from server.daemon.launch import AFTERMATH, notices
from server.errors import RemitError
from server.json_rpc import INVALID_REQUEST
from server.limits import PIPE_BYTES
from server.pipe.host import LAST_ANSWERS, HostStreams, say
from server.pipe.messages import (
    Key,
    answer_beginning,
    encoded,
    error,
    id_of_long,
    is_key,
    parsed,
    whole_lines,
)
from server.pipe.requests import OPENING_ID, Opening, OpenRequests, PendingRequest

PAUSE = 1.0
"""Seconds after a failed attempt in which no other is made; requests get the same error meanwhile."""

MOST_TRIES = 5
"""Times that a request is sent at most; a server may end because of it."""

BACK_OFF = 0.2
"""Seconds of pause after the second server in a row that ended without an answer; doubled each time."""

MOST_DOUBLINGS = 4
"""Doublings of this pause, which reaches 3.2 s: nothing is read from the host meanwhile."""

SLACK = 4 * 1024**2
"""Bytes received beyond a line's limit before some are discarded."""

GONE = f"the remit server ended. {AFTERMATH}"

UNDECIDED = f"the remit server ended before it answered; look with list_tasks whether this was done. {AFTERMATH}"

GIVEN_UP = f"the remit server ended {MOST_TRIES} times before it answered this; its log may say why"


class PipeSession:
    """The host's connection, for as long as the host is there."""

    def __init__(self, host: HostStreams, reach: Callable[[], Link]) -> None:
        """Take the function `reach`, which finds or starts a server, or raises RemitError."""
        self._host = host
        self._reach = reach
        self._requests = OpenRequests()
        self._opening = Opening()
        self._link: Link | None = None
        self._reader: threading.Thread | None = None
        self._is_lost = False
        self._losses = 0
        self._reason = ""
        self._next_attempt = 0.0
        self.was_connected = False

    def run(self) -> None:
        """Pass lines both ways until the host is gone."""
        self._connect()
        pending = bytearray()
        while (chunk := self._host.read()) != b"":
            if chunk is None:
                self._recover()
                continue
            pending += chunk
            if end := pending.rfind(b"\n", len(pending) - len(chunk)) + 1:
                lines = bytes(pending[:end])
                del pending[:end]
                self._pass_on(lines)
            elif len(pending) > MAX_LINE + SLACK:
                del pending[PIPE_BYTES : len(pending) - MAX_LINE]  # it stays too long, and its two ends stay
        if pending:
            self._pass_on(bytes(pending) + b"\n")
        self._leave()

    def wait(self, seconds: float) -> None:
        """Return when all requests of the host are answered, or after `seconds`."""
        self._requests.wait(seconds)

    def _pass_on(self, lines: bytes) -> None:
        for line in _split(lines):
            self._take(line)
            self._recover()

    def _take(self, line: bytes) -> None:
        if len(line) > MAX_LINE + 1:
            self._host.write(error(id_of_long(line), TOO_LONG, INVALID_REQUEST))
            return
        message = parsed(line)
        match message:
            case {"method": str(), "id": key} if is_key(key):
                self._ask(message, line)
            case {"method": "notifications/cancelled", "params": {"requestId": key}} if is_key(key):
                self._requests.closed([key])
                self._notify(line)
            case {"method": "notifications/initialized"}:
                self._opening.initialized(line)
                self._notify(line)
            case {"method": str()} if "id" not in message:
                self._notify(line)
            case {"id": key, "result": _} | {"id": key, "error": _} if is_key(key) and "method" not in message:
                if self._requests.answered_back(key):
                    self._notify(line)
            case _:
                self._deliver(line)

    def _ask(self, message: dict[str, object], line: bytes) -> None:
        self._opening.asked(message)
        request = PendingRequest(message, line)
        if not self._connect():
            self._host.write(error(request.key, self._reason))
            return
        self._requests.asked(request)
        request.send(self._send)

    def _notify(self, line: bytes) -> None:
        """Send a line that needs no answer; a later server has no use for it."""
        if self._link:
            self._send(line)

    def _deliver(self, line: bytes) -> None:
        """Send a line that is not a message, so that a server says what is wrong with it."""
        if line.strip() and self._connect():
            self._send(line)

    def _send(self, line: bytes) -> bool:
        """Send a whole line; returns False if the server was lost before it had all of it, and so did not act on it."""
        assert self._link
        view = memoryview(line)
        try:
            while view and not self._is_lost:
                view = view[self._link.socket.send(view) :]
                self._host.has_moved()
        except OSError:
            self._is_lost = True
        return not view

    def _connect(self) -> bool:
        """Connect to a server, started if needed; returns False, with `_reason` set, if there is none."""
        if self._link:
            return True
        if time.monotonic() < self._next_attempt:
            return False
        try:
            with self._host.patience():
                self._link = self._reach()
        except (RemitError, OSError, ValueError) as failure:
            self._reason = failure.message if isinstance(failure, RemitError) else f"no server can be had: {failure}"
            self._next_attempt = time.monotonic() + PAUSE
            say(self._reason)
            return False
        self._open(self._link)
        return True

    def _open(self, link: Link) -> None:
        for notice in notices(link.greeting):
            say(notice)
        self.was_connected = True
        self._is_lost = False
        self._reader = threading.Thread(target=self._read, args=(link.socket,), daemon=True)
        self._reader.start()
        self._send(self._opening.lines())

    def _recover(self) -> None:
        """Continue with another server if the current one is lost."""
        while self._is_lost:
            self._bury()
            requests = self._requests.all()
            if requests:
                time.sleep(BACK_OFF * 2 ** min(self._losses, MOST_DOUBLINGS) if self._losses else 0)
                self._losses += 1
                self._repeat(requests)

    def _bury(self) -> None:
        """Close the link to a lost server, and tell the host which requests were lost."""
        assert self._link
        assert self._reader
        self._reader.join()
        self._link.close()
        self._link, self._is_lost = None, False
        say(GONE)
        for key in self._requests.take_asked_back():
            params = {"requestId": key, "reason": "the server ended"}
            self._host.write(encoded({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}))
        for key in self._requests.take_undecided():
            self._host.write(error(key, UNDECIDED))

    def _repeat(self, requests: list[PendingRequest]) -> None:
        is_connected = self._connect()
        for request in requests:
            if not is_connected or request.tries >= MOST_TRIES:
                self._host.write(error(request.key, GIVEN_UP if is_connected else self._reason))
                self._requests.closed([request.key])
            elif request is requests[0] or not self._is_lost:  # the first is tried each time, so there is an end to it
                request.send(self._send)

    def _read(self, server: socket.socket) -> None:
        """Pass on a server's lines, in a thread of its own; an unfinished last line is dropped."""
        try:
            for lines in whole_lines(lambda: server.recv(PIPE_BYTES)):
                self._hear(_split(lines))
        except OSError:
            pass  # it was killed with requests unread
        self._is_lost = True
        self._requests.poke()
        self._host.wake()

    def _hear(self, lines: list[bytes]) -> None:
        answered: list[Key] = []
        passed = []
        for line in lines:
            match answer_beginning(line):
                case {"id": key} as answer if key == OPENING_ID:
                    _check_opening(answer)
                    continue
                case {"method": str(), "id": key} if is_key(key):
                    self._requests.asked_back(key)
                case {"id": key} as answer if is_key(key):
                    self._opening.answered(key, is_refused="error" in answer)
                    answered.append(key)
            passed.append(line)
        self._host.write(b"".join(passed))
        if answered:
            self._losses = 0
        self._requests.closed(answered)

    def _leave(self) -> None:
        """Give a host that is done its last answers."""
        if self._link is None:
            return
        assert self._reader
        if not self._host.is_gone:
            self._requests.wait(LAST_ANSWERS, lambda: self._is_lost)
        if self._is_lost:
            self._reader.join()
            self._host.write(b"".join(error(request.key, UNDECIDED) for request in self._requests.all()))
        else:
            self._link.socket.shutdown(socket.SHUT_RDWR)
            self._reader.join(0.5)  # it may be writing to a host that does not read


def _check_opening(answer: dict[str, object]) -> None:
    if "error" in answer:
        say(f"the server that was found does not take up this connection: {answer['error']}")


def _split(lines: bytes) -> list[bytes]:
    """Return the lines, each with its newline; unlike `splitlines`, not split at carriage returns."""
    return [line + b"\n" for line in lines.split(b"\n")[:-1]]
