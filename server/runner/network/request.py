"""Requests to the proxy, parsed so strictly that no later recipient can read them differently, and its responses."""

import re
from http import HTTPStatus

import h11

from server.runner.network.hosts import HTTP_PORT, Endpoint

HEAD_BYTES = 32 * 1024
"""Size of a request's head: twice what most servers take."""

HEADERS = 100
"""Headers of a request: what most servers take."""

# h11 accepts what RFC 9112 lets a recipient accept: bare line feeds, folded lines, duplicate lengths.
_HEAD = re.compile(rb"[^\r\n\0]+\r\n(?:[^\r\n\0 \t][^\r\n\0]*\r\n)*\r\n")
_FRAMING = (b"content-length", b"transfer-encoding")

_ABSOLUTE_FORM = re.compile(rb"http://([^/?#]+)([/?][^#]*)?", re.IGNORECASE)

# RFC 9110 §7.6.1, with the non-standard Keep-Alive and Proxy-Connection
_HOP_BY_HOP = frozenset(
    (
        *(b"connection", b"keep-alive", b"te", b"trailer", b"upgrade"),
        *(b"proxy-authenticate", b"proxy-authorization", b"proxy-connection"),
    )
)
_NEVER_DROPPED = frozenset((*_FRAMING, b"host"))


Answer = h11.Response | h11.InformationalResponse
"""A final or an informational (1xx) response of a host."""


class Rejected(Exception):
    """A request that the proxy answers with an error: an HTTP status, and a text that says what to do."""

    def __init__(self, status: HTTPStatus, text: str, *headers: str) -> None:
        super().__init__(text)
        self.status, self.headers = status, headers

    def encode(self) -> bytes:
        """Return the whole response as bytes."""
        body = f"remit: {self}\n".encode()
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            "Connection: close",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            *self.headers,
        )
        return "".join(f"{line}\r\n" for line in head).encode() + b"\r\n" + body


def check_head(head: bytes) -> None:
    """Raise Rejected unless it is the head of one request, with unambiguous lines and framing."""
    lines = head.split(b"\r\n")[1:-2]
    fields = [line.partition(b":") for line in lines]
    framing = [value for name, _, value in fields if name.lower() in _FRAMING]
    if not _HEAD.fullmatch(head) or len(framing) > 1 or b"," in b"".join(framing):
        raise malformed("the request is malformed")
    if len(lines) > HEADERS:
        raise Rejected(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {HEADERS} headers")


def destination(request: h11.Request) -> Endpoint:
    """Return the host and port that a request is for. Raises Rejected for a request that a proxy cannot forward."""
    if request.http_version not in (b"1.0", b"1.1"):
        raise Rejected(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.0 and HTTP/1.1 are understood")
    if request.method == b"CONNECT":
        return _endpoint(request.target)
    endpoint = _endpoint(_absolute(request)[1], HTTP_PORT)
    hosts = [value for name, value in request.headers if name == b"host"]
    if any(_endpoint(host, HTTP_PORT) != endpoint for host in hosts):
        raise malformed("the Host header names another host than the URI")
    return endpoint


def forwarded(request: h11.Request, endpoint: Endpoint) -> h11.Request:
    """Return the request as the proxy sends it to the host: origin form, without hop-by-hop headers."""
    path = _absolute(request)[2] or b"/"
    headers = [(name, value) for name, value in _end_to_end(request) if name.lower() != b"host"]
    host = str(endpoint).removesuffix(f":{HTTP_PORT}").encode()
    return h11.Request(
        method=request.method,
        target=path if path.startswith(b"/") else b"/" + path,
        headers=[(b"Host", host), *headers, (b"Connection", b"close")],
    )


def answered(answer: Answer) -> Answer:
    """Return a host's response as the proxy sends it to the command, without hop-by-hop headers."""
    headers = [*_end_to_end(answer), (b"Connection", b"close")]
    return type(answer)(status_code=answer.status_code, headers=headers, reason=answer.reason)


def _end_to_end(message: h11.Request | Answer) -> list[tuple[bytes, bytes]]:
    """Return the end-to-end headers, without those for one connection only: RFC 9110 §7.6.1."""
    named = {
        option.strip()
        for name, value in message.headers
        if name == b"connection"
        for option in value.lower().split(b",")
    }
    dropped = _HOP_BY_HOP | (named - _NEVER_DROPPED)
    return [(name, value) for name, value in message.headers.raw_items() if name.lower() not in dropped]


def malformed(text: str) -> Rejected:
    """Return the error 400 (Bad Request) with this text."""
    return Rejected(HTTPStatus.BAD_REQUEST, text)


def _absolute(request: h11.Request) -> re.Match[bytes]:
    target = _ABSOLUTE_FORM.fullmatch(request.target)
    if target is None:
        raise malformed("this is a proxy: it takes CONNECT, and requests for a whole http:// address")
    return target


def _endpoint(text: bytes, default_port: int | None = None) -> Endpoint:
    try:
        return Endpoint.parse(text.decode("latin-1"), default_port)
    except ValueError:
        raise malformed("the request names no host that could be looked up, with its port") from None
