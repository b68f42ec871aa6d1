"""Unanswered requests of host and server, and how the connection was opened.

Neither dataclasses nor typing here: importing them would cost every window 2 MB.
"""

import os
import threading
import time
from collections.abc import Callable

from server.pipe.messages import ENVELOPE, Key, encoded, is_key, may_be_repeated, with_less_to_wait

OPENING_ID = f"remit-pipe-{os.urandom(8).hex()}"
"""The id of the request that opens a connection again; its answer is not for the host, which cannot guess it."""


class PendingRequest:
    """An unanswered request of the host."""

    def __init__(self, message: dict[str, object], line: bytes) -> None:
        """Take the parsed `message` of `line`."""
        key = message["id"]
        assert is_key(key)
        self.key = key
        self.line = line
        self.repeatable = may_be_repeated(message)
        self.asked_at = time.monotonic()
        self.tries = 0
        self.was_sent = False

    @property
    def is_undecided(self) -> bool:
        """Whether a server received it and may have done it, and it must not be done twice."""
        return self.was_sent and not self.repeatable

    def send(self, send: Callable[[bytes], bool]) -> None:
        """Send the line with `send`, which tells whether a server has all of it.

        An unrepeatable line is dropped then.
        """
        line = with_less_to_wait(self.line, time.monotonic() - self.asked_at) if self.tries else self.line
        self.tries += 1
        if send(line):
            self.was_sent = True
            self.line = self.line if self.repeatable else b""


class OpenRequests:
    """The unanswered requests in both directions. Safe for several threads."""

    def __init__(self) -> None:
        self._of_host: dict[Key, PendingRequest] = {}
        self._of_server: set[Key] = set()
        self._changed = threading.Condition()

    def asked(self, request: PendingRequest) -> None:
        """Add a request of the host."""
        with self._changed:
            self._of_host[request.key] = request

    def closed(self, keys: list[Key]) -> None:
        """Remove requests of the host that are answered or cancelled."""
        with self._changed:
            for key in keys:
                self._of_host.pop(key, None)
            self._changed.notify_all()

    def asked_back(self, key: Key) -> None:
        """Add a request of the server."""
        with self._changed:
            self._of_server.add(key)

    def answered_back(self, key: Key) -> bool:
        """Remove a request of the server; returns whether the current server had asked it."""
        with self._changed:
            known = key in self._of_server
            self._of_server.discard(key)
            return known

    def take_undecided(self) -> list[Key]:
        """Remove the requests that a lost server may or may not have done; returns their ids."""
        with self._changed:
            keys = [key for key, request in self._of_host.items() if request.is_undecided]
            for key in keys:
                del self._of_host[key]
            return keys

    def take_asked_back(self) -> list[Key]:
        """Remove the requests of a lost server; returns their ids."""
        with self._changed:
            keys = list(self._of_server)
            self._of_server.clear()
            return keys

    def all(self) -> list[PendingRequest]:
        """Return the open requests of the host, the oldest first."""
        with self._changed:
            return list(self._of_host.values())

    def wait(self, seconds: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Return when all requests of the host are answered, when `is_over` after a `poke`, or after `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._of_host or is_over(), seconds)

    def poke(self) -> None:
        """Make `wait` check again."""
        with self._changed:
            self._changed.notify_all()


class Opening:
    """The way in which the host opened its connection: a handshake, or a first request with its protocol version.

    The server decides which of several attempts counts, by accepting it: a host that tries one way and then the other
    may have either refused.
    """

    def __init__(self) -> None:
        self._taken: dict[str, object] | None = None
        self._tried: dict[Key, dict[str, object]] = {}
        """Requests that may open the connection, by id, until they are answered."""

        self._initialized = b""

    def asked(self, request: dict[str, object]) -> None:
        """Record a request that may open the connection."""
        key = request["id"]
        assert is_key(key)
        if request["method"] == "initialize":
            self._tried[key] = {**request, "id": OPENING_ID}
        elif self._taken is None and ENVELOPE in (meta := _meta(request)):
            params = {"_meta": {name: value for name, value in meta.items() if name != "progressToken"}}
            self._tried[key] = {"jsonrpc": "2.0", "id": OPENING_ID, "method": "server/discover", "params": params}

    def answered(self, key: Key, *, is_refused: bool) -> None:
        """Record the answer to a request."""
        tried = self._tried.pop(key, None)
        if tried and not is_refused:
            self._taken = tried

    def initialized(self, line: bytes) -> None:
        """Record the notification that completes a handshake."""
        self._initialized = line

    def lines(self) -> bytes:
        """Return the lines that open a connection to another server in the same way; empty if none was opened."""
        opening = self._taken or next(iter(self._tried.values()), None)
        return encoded(opening) + self._initialized if opening else b""


def _meta(request: dict[str, object]) -> dict[str, object]:
    match request.get("params"):
        case {"_meta": dict() as meta}:
            return meta
        case _:
            return {}
