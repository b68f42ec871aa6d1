"""The loopback server of a scripted model: it answers as its script says, and keeps all that it was asked."""

import json
import select
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any, Protocol

from tests.models import anthropic, openai
from tests.models.conversation import Json, Malformed, Message, Request, merged
from tests.models.reply import Part, Reply
from tests.models.script import SMALL_MODEL, Answer, Fail, Hold, Say, Script

PATIENCE = 30
"""Seconds to wait for a request: far above what anything here takes."""

_GLANCE_SECONDS = 0.02  # between two looks at whether a pause is over or the client has left


class Format(Protocol):
    """A wire format: how a request is read, and how a reply is written."""

    def key(self, headers: dict[str, str]) -> str: ...
    def system(self, body: Json) -> str: ...
    def messages(self, body: Json) -> Iterator[Message]: ...
    def tools(self, body: Json) -> Iterator[str]: ...
    def whole(self, reply: Reply) -> Iterator[Part]: ...
    def streamed(self, reply: Reply, body: Json) -> Iterator[Part]: ...
    def error(self, status: int, message: str) -> Json: ...


_FORMATS: dict[str, Format] = {"/v1/chat/completions": openai, "/v1/messages": anthropic}


class Model:
    """A model that answers by its script, at `url`; the paths of both wire formats begin with `/v1`."""

    def __init__(self, port: int, script: Script) -> None:
        self.port = port
        self.script = script
        self.requests: list[Request] = []
        """What was asked of the model itself, in order."""

        self.asides: list[Request] = []
        """What was asked of the small model."""

        self.strays: list[str] = []
        """Requests that are no part of the wire formats: method and path."""

        self.faults: list[Exception] = []
        """What the script, or a conversation that no provider takes, brought about."""

        self.has_ended = False
        """Whether nobody waits for its answers any more."""

        self._heard = bytearray()
        self._open = 0
        self._changed = Condition()

    @property
    def url(self) -> str:
        """Where it is: what ANTHROPIC_BASE_URL is to say, and with `/v1` what OpenAI's clients call base URL."""
        return f"http://{self.host}"

    @property
    def host(self) -> str:
        """The same, as a rule of a network by name."""
        return f"127.0.0.1:{self.port}"

    @property
    def keys(self) -> set[str]:
        """What its clients have authenticated themselves with."""
        return {request.key for request in (*self.requests, *self.asides)}

    def heard(self, text: str) -> bool:
        """Return whether a text was in anything that reached it: paths, headers or bodies."""
        return text.encode() in self._heard or json.dumps(text)[1:-1].encode() in self._heard

    def wait(self, count: int) -> Request:
        """Block until it was asked so often, and return the latest of these requests."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, PATIENCE), "the model was not asked"
            return self.requests[count - 1]

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Count a request as open as long as the body lasts."""
        with self._changed:
            self._open += 1
        try:
            yield
        finally:
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def end(self) -> None:
        """Give up what is held, and wait until no request is open."""
        self.has_ended = True
        with self._changed:
            assert self._changed.wait_for(lambda: not self._open, PATIENCE), "a request to the model does not end"

    def hear(self, data: bytes) -> None:
        """Keep what reached it."""
        self._heard += data + b"\n"

    def answer(self, request: Request) -> Answer:
        """Note a request, and choose what to answer."""
        if request.model == SMALL_MODEL:
            self.asides.append(request)
            return Say(_aside(request))
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        return self.script(request)


class Endpoint:
    """A place on the loopback at which one model after another is served."""

    def __init__(self, server: "_Server") -> None:
        self._server = server

    @contextmanager
    def model(self, script: Script) -> Iterator[Model]:
        """Serve a model as long as the body lasts; what went wrong in it fails the test at the end."""
        this = self._server.model = Model(self._server.server_port, script)
        try:
            yield this
        except BaseException as error:
            for fault in this.faults:
                error.add_note(f"before that, in the model: {fault!r}")
            raise
        finally:
            this.end()
            self._server.model = None
        if this.faults:
            raise ExceptionGroup("the model was asked what its script does not foresee", this.faults)


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """Listen on the loopback as long as the body lasts."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": _GLANCE_SECONDS})
        thread.start()
        try:
            yield Endpoint(server)
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def model(script: Script) -> Iterator[Model]:
    """Serve a model at an endpoint of its own as long as the body lasts."""
    with endpoint() as own, own.model(script) as this:
        yield this


def _aside(request: Request) -> str:
    """Return what is said on the side: a title, as text or as the object that was asked for."""
    return json.dumps({"title": "A title"}) if "json_schema" in request.raw.decode() else "A title"


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them
    model: Model | None = None


class _Gone(Exception):
    """The client has left, or the model has ended."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer that there is nothing: no agent needs it."""
        self._serve(b"")

    def do_POST(self) -> None:
        """Answer what a model is asked."""
        self._serve(self.rfile.read(int(self.headers["Content-Length"])))

    def _serve(self, raw: bytes) -> None:
        if (model := self.server.model) is None:
            self._send(503, b'{"error": {"message": "no model is served here now"}}')
            return
        with model.attended():
            model.hear(f"{self.path}\n{self.headers}".encode() + raw)
            wire = _FORMATS.get(self.path.partition("?")[0]) if self.command == "POST" else None
            if wire:
                self._answer(model, wire, raw)
            else:
                model.strays.append(f"{self.command} {self.path}")
                self._send(404, b'{"error": {"message": "there is no such path"}}')

    def _answer(self, model: Model, wire: Format, raw: bytes) -> None:
        try:
            request = self._read(wire, raw)
            answer = model.answer(request)
        except Exception as fault:
            model.faults.append(fault)
            status = 400 if isinstance(fault, Malformed) else 422
            self._send(status, json.dumps(wire.error(status, f"{type(fault).__name__}: {fault}")).encode())
            return
        if isinstance(answer, Fail):
            self._send(answer.status, json.dumps(wire.error(answer.status, answer.message)).encode())
            return
        reply = Reply.to(request, answer)
        parts = wire.streamed(reply, request.body) if request.streams else wire.whole(reply)
        self._begin(200, "text/event-stream" if request.streams else "application/json")
        self._send_parts(model, parts)

    def _read(self, wire: Format, raw: bytes) -> Request:
        body = json.loads(raw)
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(
            path=self.path,
            headers=headers,
            raw=raw,
            body=body,
            key=wire.key(headers),
            system=wire.system(body),
            messages=merged(wire.messages(body)),
            tools=tuple(wire.tools(body)),
        )

    def _send(self, status: int, body: bytes) -> None:
        self._begin(status, "application/json", ("Content-Length", str(len(body))))
        self.wfile.write(body)

    def _begin(self, status: int, kind: str, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Connection", "close"), *headers):
            self.send_header(name, value)
        self.end_headers()

    def _send_parts(self, model: Model, parts: Iterator[Part]) -> None:
        try:
            for part in parts:
                if isinstance(part, Hold):
                    self._hold(model, part)
                else:
                    self.wfile.write(part)
        except (ConnectionError, _Gone):
            pass  # nobody is left to hear the rest

    def _hold(self, model: Model, hold: Hold) -> None:
        hold.reached.set()
        while not hold.released.wait(_GLANCE_SECONDS):
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable or model.has_ended:  # a client that has asked says nothing more, and so it has left
                hold.left.set()
                raise _Gone
