"""Random requests to the proxy: each is understood in one way, or refused."""

import anyio
import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.runner.network.hosts import Endpoint
from server.runner.network.request import Rejected, check_head, destination, forwarded
from tests.bounds import bounded
from tests.runner.network.services import ask, proxy, service

MOST_MEMORY = 2 * 1024**2
"""Bytes: some of 64 KiB for each direction of the connections of an example, of which there are ten at most."""

WORDS = st.sampled_from(
    [
        *(
            b"GET",
            b"POST",
            b"CONNECT",
            b"HTTP/1.1",
            b"HTTP/1.0",
            b"http://",
            b"a.example.com",
            b"evil.com",
            b"127.0.0.1",
        ),
        *(
            b"Host",
            b"Content-Length",
            b"Transfer-Encoding",
            b"Connection",
            b"Expect",
            b"chunked",
            b"close",
            b"100-continue",
        ),
        *(
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"\r",
            b" ",
            b"\t",
            b":",
            b": ",
            b"/",
            b"?",
            b"#",
            b"@",
            b"\\",
            b"%",
            b"[",
            b"]",
        ),
        *(b",", b".", b"\0", b"\xff", b"\x0b", b"0", b"5", b"80", b"443", b"hello", b"0\r\n\r\n", b"5\r\nhello\r\n"),
    ]
)
NONSENSE = st.lists(WORDS | st.binary(max_size=4), max_size=30).map(b"".join)

HOSTS = st.sampled_from(
    [b"a.example.com", b"a.example.com:8080", b"A.EXAMPLE.COM.", b"evil.com", b"a.example.com@evil.com"]
)
FIELDS = st.lists(
    st.tuples(
        st.sampled_from(
            [b"Content-Length", b"Transfer-Encoding", b"Connection", b"Host", b"X", b"TE", b"Proxy-Connection"]
        ),
        st.sampled_from([b": ", b":", b" : ", b":\t", b"\r\n :"]),
        st.sampled_from(
            [b"5", b"5, 5", b"+5", b"chunked", b"identity", b"close", b"host, te", b"evil.com", b"a\nHost: b", b""]
        ),
        st.sampled_from([b"\r\n", b"\n", b"\r", b"\r\n\r\n"]),
    ).map(b"".join),
    max_size=4,
).map(b"".join)
NEARLY_AN_ANSWER = st.builds(
    lambda version, status, fields, rest: b"HTTP/%s %d Reason\r\n%s\r\n%s" % (version, status, fields, rest),
    st.sampled_from([b"1.0", b"1.1", b"2.0"]),
    st.sampled_from([99, 100, 101, 103, 200, 204, 206, 302, 304, 407, 500, 999]),
    FIELDS,
    st.sampled_from([b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nhello"]),
)
NEARLY_SENSE = st.builds(
    lambda uri, host, fields, rest: b"POST http://%s/path HTTP/1.1\r\nHost: %s\r\n%s\r\n%s" % (uri, host, fields, rest),
    *(HOSTS, HOSTS, FIELDS, st.sampled_from([b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n"])),
)


def understood(data: bytes) -> tuple[Endpoint, h11.Request]:
    """Parse bytes as the proxy does: the destination, and the request sent there."""
    head = data[: data.index(b"\r\n\r\n") + 4]
    check_head(head)
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(head)
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    endpoint = destination(request)
    return endpoint, forwarded(request, endpoint)


@given(NEARLY_SENSE)
def test_what_is_sent_on_says_one_thing(data: bytes) -> None:
    try:
        endpoint, request = understood(data)
    except (ValueError, Rejected, h11.RemoteProtocolError):
        return
    lines = (h11.Connection(h11.CLIENT).send(request) or b"").split(b"\r\n")
    names = [line.partition(b":")[0].lower() for line in lines[1:-2]]
    assert not any(bytes((byte,)) in line for line in lines for byte in b"\r\n\0")
    assert names.count(b"host") == 1
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert [line for line in lines if line.startswith(b"Host: ")] == [f"Host: {endpoint}".removesuffix(":80").encode()]


@pytest.mark.long
@settings(max_examples=50, deadline=None)
@given(st.lists(NONSENSE | NEARLY_SENSE, min_size=1, max_size=10))
def test_the_proxy_outlives_whatever_it_is_told(requests: list[bytes]) -> None:
    anyio.run(_tell, requests)


async def _tell(requests: list[bytes]) -> None:
    async with bounded(MOST_MEMORY), proxy() as entrance:
        for request in requests:
            answer = await ask(entrance.port, request, end=True)
            assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(NONSENSE | NEARLY_AN_ANSWER, st.sampled_from(["GET", "HEAD", "POST"]), st.sampled_from(["1.0", "1.1"]))
def test_the_proxy_outlives_whatever_a_host_answers(answer: bytes, method: str, version: str) -> None:
    anyio.run(_hear, answer, method, version)


async def _hear(answer: bytes, method: str, version: str) -> None:
    async with bounded(MOST_MEMORY), service(answer) as upstream, proxy(upstream.here) as entrance:
        request = f"{method} http://{upstream.here}/ HTTP/{version}\r\nHost: {upstream.here}\r\n\r\n".encode()
        assert (await ask(entrance.port, request)).startswith(b"HTTP/1.1 ")
