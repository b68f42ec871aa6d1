"""What the host and the server still owe each other answers to, and how their connection was opened.

Neither dataclasses nor typing here: importing them would cost every window 2 MB.
"""

import os
import threading
import time
from collections.abc import Callable

from server.pipe.messages import ENVELOPE, Key, encoded, is_key, may_be_repeated, with_less_to_wait

OPENING_ID = f"remit-pipe-{os.urandom(8).hex()}"
"""The id of the request that opens a connection anew; its answer is not for the host, which cannot guess it."""


class PendingRequest:
    """A request of the host that is not answered yet."""

    def __init__(self, message: dict[str, object], line: bytes) -> None:
        """`message` is what `line` says."""
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
        """Whether a server has it that may or may not have done it, and that must not happen twice."""
        return self.was_sent and not self.repeatable

    def send(self, send: Callable[[bytes], bool]) -> None:
        """Send the line with what tells whether a server has all of it; what must not be sent again is not kept."""
        line = with_less_to_wait(self.line, time.monotonic() - self.asked_at) if self.tries else self.line
        self.tries += 1
        if send(line):
            self.was_sent = True
            self.line = self.line if self.repeatable else b""


class OpenRequests:
    """The requests in both directions that are not answered yet. For several threads."""

    def __init__(self) -> None:
        self._of_host: dict[Key, PendingRequest] = {}
        self._of_server: set[Key] = set()
        self._changed = threading.Condition()

    def asked(self, request: PendingRequest) -> None:
        """Note a request of the host."""
        with self._changed:
            self._of_host[request.key] = request

    def closed(self, keys: list[Key]) -> None:
        """Note that requests of the host are answered, or were cancelled and need no answer."""
        with self._changed:
            for key in keys:
                self._of_host.pop(key, None)
            self._changed.notify_all()

    def asked_back(self, key: Key) -> None:
        """Note a request of the server."""
        with self._changed:
            self._of_server.add(key)

    def answered_back(self, key: Key) -> bool:
        """Note an answer of the host; whether the server of this moment has asked for it."""
        with self._changed:
            known = key in self._of_server
            self._of_server.discard(key)
            return known

    def take_undecided(self) -> list[Key]:
        """Forget the requests that a lost server may or may not have done; returns their ids."""
        with self._changed:
            keys = [key for key, request in self._of_host.items() if request.is_undecided]
            for key in keys:
                del self._of_host[key]
            return keys

    def take_asked_back(self) -> list[Key]:
        """Forget the requests of a lost server; returns their ids."""
        with self._changed:
            keys = list(self._of_server)
            self._of_server.clear()
            return keys

    def all(self) -> list[PendingRequest]:
        """The open requests of the host, the oldest first."""
        with self._changed:
            return list(self._of_host.values())

    def wait(self, seconds: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Return when every request of the host is answered, when `is_over` after a `poke`, or after `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._of_host or is_over(), seconds)

    def poke(self) -> None:
        """Have `wait` look again."""
        with self._changed:
            self._changed.notify_all()


class Opening:
    """How the host opened its connection: a handshake, or since 2026-07-28 the first request that says its version.

    Which of several it was, the server says, by the first that it takes: a host that tries the one and then the other
    may have either refused.
    """

    def __init__(self) -> None:
        self._taken: dict[str, object] | None = None
        self._tried: dict[Key, dict[str, object]] = {}
        """What may have opened the connection, by the id of the request that is to be answered yet."""

        self._initialized = b""

    def asked(self, request: dict[str, object]) -> None:
        """Note a request that may open the connection."""
        key = request["id"]
        assert is_key(key)
        if request["method"] == "initialize":
            self._tried[key] = {**request, "id": OPENING_ID}
        elif self._taken is None and ENVELOPE in (meta := _meta(request)):
            params = {"_meta": {name: value for name, value in meta.items() if name != "progressToken"}}
            self._tried[key] = {"jsonrpc": "2.0", "id": OPENING_ID, "method": "server/discover", "params": params}

    def answered(self, key: Key, *, is_refused: bool) -> None:
        """Note the answer to a request."""
        tried = self._tried.pop(key, None)
        if tried and not is_refused:
            self._taken = tried

    def initialized(self, line: bytes) -> None:
        """Note the notification that concludes a handshake."""
        self._initialized = line

    def lines(self) -> bytes:
        """What opens a connection to another server in the same way; empty if nothing was opened."""
        opening = self._taken or next(iter(self._tried.values()), None)
        return encoded(opening) + self._initialized if opening else b""


def _meta(request: dict[str, object]) -> dict[str, object]:
    match request.get("params"):
        case {"_meta": dict() as meta}:
            return meta
        case _:
            return {}
