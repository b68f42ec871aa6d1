"""Requests that the proxy lets through, and its answers to those that it refuses."""

import socket
from base64 import b64encode
from contextlib import closing

import anyio
import pytest

from server.runner.network import exchange
from server.runner.network import proxy as proxies
from server.runner.network.request import HEAD_BYTES, HEADERS
from tests.runner.network.services import (
    ANSWER,
    ask,
    connect,
    echo,
    names,
    proxy,
    receive,
    receive_until,
    send,
    service,
)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def test_a_tunnel_passes_bytes_both_ways() -> None:
    async with echo() as upstream, proxy(upstream.here) as entrance:
        with closing(await connect(entrance.port)) as connection:
            await send(connection, f"CONNECT {upstream.here} HTTP/1.1\r\nHost: {upstream.here}\r\n\r\n".encode())
            assert status(await receive_until(connection, b"\r\n\r\n")) == 200
            await send(connection, b"\0any bytes\r\n")
            assert await receive_until(connection, b"\r\n") == b"\0any bytes\r\n"


async def test_a_tunnel_passes_a_great_deal_and_ends_when_both_sides_have() -> None:
    data = bytes(range(256)) * 16384
    request = b"CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n"
    async with echo() as upstream, proxy(upstream.here) as entrance:
        with closing(await connect(entrance.port)) as connection, anyio.fail_after(10):
            await send(connection, request % upstream.here.encode())
            await receive_until(connection, b"\r\n\r\n")
            heard = b""
            async with anyio.create_task_group() as group:

                async def speak() -> None:
                    await send(connection, data)
                    connection.shutdown(socket.SHUT_WR)

                group.start_soon(speak)
                while more := await receive(connection):
                    heard += more
    assert heard == data


async def test_bytes_that_come_with_the_request_for_a_tunnel_go_through_it() -> None:
    async with echo() as upstream, proxy(upstream.here) as entrance:
        early = f"CONNECT {upstream.here} HTTP/1.1\r\nHost: x\r\n\r\nearly".encode()
        assert (await ask(entrance.port, early, end=True)).endswith(b"\r\n\r\nearly")


async def test_a_plain_request_goes_to_its_host_as_that_expects_it() -> None:
    async with service() as upstream, proxy(upstream.here) as entrance:
        request = f"GET http://{upstream.here}/a?b=c HTTP/1.1\r\nHost: {upstream.here}\r\nAccept: */*\r\n\r\n".encode()
        assert (await ask(entrance.port, request)).endswith(b"\r\n\r\nok")
    expected = f"GET /a?b=c HTTP/1.1\r\nHost: {upstream.here}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    assert upstream.heard == [expected.encode()]


@pytest.mark.parametrize(("path", "target"), [("", "/"), ("?a=b", "/?a=b"), ("//x/../y", "//x/../y")])
async def test_the_path_is_passed_on_as_it_is(path: str, target: str) -> None:
    async with service() as upstream, proxy(upstream.here) as entrance:
        await ask(entrance.port, f"GET http://{upstream.here}{path} HTTP/1.1\r\nHost: {upstream.here}\r\n\r\n".encode())
    assert upstream.heard[0].startswith(f"GET {target} HTTP/1.1\r\n".encode())


async def test_headers_between_neighbours_are_not_passed_on() -> None:
    hidden = (
        "Proxy-Authorization: Basic c2VjcmV0\r\nConnection: x-mine\r\nX-Mine: 1\r\nTE: trailers\r\nUpgrade: h2c\r\n"
    )
    async with service() as upstream, proxy(upstream.here) as entrance:
        host = f"Host: {upstream.here}\r\n"
        await ask(entrance.port, f"GET http://{upstream.here}/ HTTP/1.1\r\n{host}{hidden}X-Kept: 1\r\n\r\n".encode())
    assert upstream.heard == [f"GET / HTTP/1.1\r\n{host}X-Kept: 1\r\nConnection: close\r\n\r\n".encode()]


async def test_the_framing_cannot_be_named_as_a_header_between_neighbours() -> None:
    async with service(until=b"hello") as upstream, proxy(upstream.here) as entrance:
        headers = f"Host: {upstream.here}\r\nConnection: content-length, host\r\nContent-Length: 5\r\n\r\nhello"
        answer = await ask(entrance.port, f"POST http://{upstream.here}/ HTTP/1.1\r\n{headers}".encode())
    assert status(answer) == 200
    assert b"Content-Length: 5\r\n" in upstream.heard[0]


@pytest.mark.parametrize(
    ("framing", "body"),
    [("Content-Length: 5", b"hello"), ("Transfer-Encoding: chunked", b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")],
)
async def test_a_body_is_passed_on(framing: str, body: bytes) -> None:
    async with service(until=body) as upstream, proxy(upstream.here) as entrance:
        head = f"POST http://{upstream.here}/ HTTP/1.1\r\nHost: {upstream.here}\r\n{framing}\r\n\r\n".encode()
        assert status(await ask(entrance.port, head + body)) == 200
    assert upstream.heard[0].endswith(b"\r\n\r\n" + body)


async def test_a_body_is_passed_on_as_it_comes() -> None:
    async with service(b"HTTP/1.1 200 OK\r\n\r\n", until=b"first") as upstream, proxy(upstream.here) as entrance:
        head = f"POST http://{upstream.here}/ HTTP/1.1\r\nHost: {upstream.here}\r\nContent-Length: 99\r\n\r\nfirst"
        assert status(await ask(entrance.port, head.encode())) == 200


async def test_an_answer_arrives_although_the_request_was_not_heard_to_its_end() -> None:
    async with service(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n") as upstream, proxy(upstream.here) as entrance:
        head = f"POST http://{upstream.here}/ HTTP/1.1\r\nHost: {upstream.here}\r\nContent-Length: 4000000\r\n\r\n"
        assert status(await ask(entrance.port, head.encode() + b"x" * 4_000_000)) == 413


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"HTTP/1.1 204 None\r\n\r\n", b""),
        (b"HTTP/1.0 103 Hints\r\n\r\n" + ANSWER, b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.", b"."),
    ],
)
async def test_an_answer_comes_back_however_it_ends(answer: bytes, body: bytes) -> None:
    async with service(answer) as upstream, proxy(upstream.here) as entrance:
        request = f"GET http://{upstream.here}/ HTTP/1.1\r\nHost: {upstream.here}\r\n\r\n".encode()
        assert (await ask(entrance.port, request)).endswith(b"\r\n\r\n" + body)


async def test_an_answer_says_that_the_connection_ends_with_it() -> None:
    kept = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n"
    async with service(kept) as upstream, proxy(upstream.here) as entrance:
        request = f"GET http://{upstream.here}/ HTTP/1.1\r\nHost: {upstream.here}\r\n\r\n".encode()
        answer = await ask(entrance.port, request)
    assert b"keep-alive" not in answer.lower()
    assert b"\r\nConnection: close\r\n" in answer


async def test_a_head_request_is_answered_without_a_body() -> None:
    async with service(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") as upstream, proxy(upstream.here) as entrance:
        request = f"HEAD http://{upstream.here}/ HTTP/1.1\r\nHost: {upstream.here}\r\n\r\n".encode()
        answer = await ask(entrance.port, request)
    assert status(answer) == 200
    assert b"\r\nContent-Length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_an_old_client_hears_no_provisional_answer() -> None:
    async with service(b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER) as upstream, proxy(upstream.here) as entrance:
        answer = await ask(entrance.port, f"GET http://{upstream.here}/ HTTP/1.0\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_second_request_on_the_same_connection_reaches_nobody() -> None:
    async with service() as upstream, proxy(upstream.here) as entrance:
        request = f"GET http://{upstream.here}/ HTTP/1.1\r\nHost: {upstream.here}\r\n\r\n".encode()
        answer = await ask(entrance.port, request + request)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert len(upstream.heard) == 1


@pytest.mark.parametrize(
    "request_line", ["CONNECT evil.example:443 HTTP/1.1", "GET http://evil.example:443/secret HTTP/1.1"]
)
async def test_a_host_that_is_not_allowed_is_refused_with_the_setting_that_would_allow_it(request_line: str) -> None:
    async with proxy("api.example.com") as entrance:
        answer = await ask(entrance.port, f"{request_line}\r\nHost: evil.example:443\r\n\r\n".encode())
    assert status(answer) == 403
    assert b'evil.example:443 is not among the hosts this task may reach; to allow it, add "evil.example"' in answer
    assert entrance.refused == [("evil.example", 443, "is not among the hosts this task may reach")]


async def test_a_name_that_leads_to_a_private_address_is_refused() -> None:
    async with proxy("a.example", resolve=names(a="169.254.169.254")) as entrance:
        answer = await ask(entrance.port, b"CONNECT a.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status(answer) == 403
    assert entrance.refused == [("a.example", 443, "leads to 169.254.169.254, which is not a public address")]


async def test_a_refused_host_is_told_of_once() -> None:
    async with proxy() as entrance:
        for _ in range(3):
            await ask(entrance.port, b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert len(entrance.refused) == 1


async def test_the_number_of_refused_hosts_that_are_told_of_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "REPORTS", 2)
    async with proxy() as entrance:
        for number in range(4):
            await ask(entrance.port, f"CONNECT evil{number}.example:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert [host for host, *_ in entrance.refused] == ["evil0.example", "evil1.example"]


async def test_a_host_that_cannot_be_reached_is_told_as_502() -> None:
    async with proxy("127.0.0.1:1") as entrance:
        answer = await ask(entrance.port, b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status(answer) == 502
    assert b"127.0.0.1:1 cannot be reached: Connection refused" in answer


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 101 Switching\r\n\r\n", b"HTTP/1.1 200 OK\r\nA"]
)
async def test_a_host_that_does_not_speak_http_is_told_as_502(answer: bytes) -> None:
    async with service(answer) as upstream, proxy(upstream.here) as entrance:
        request = f"GET http://{upstream.here}/ HTTP/1.1\r\nHost: {upstream.here}\r\n\r\n".encode()
        assert status(await ask(entrance.port, request)) == 502


async def test_a_host_that_breaks_off_leaves_a_shortened_answer() -> None:
    async with (
        service(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello") as upstream,
        proxy(upstream.here) as entrance,
    ):
        request = f"GET http://{upstream.here}/ HTTP/1.1\r\nHost: {upstream.here}\r\n\r\n".encode()
        answer = await ask(entrance.port, request)
    assert answer.endswith(b"\r\n\r\nhello")
    assert answer.count(b"HTTP/1.1 ") == 1


URI = "http://127.0.0.1:1/"
HOST = "Host: 127.0.0.1:1\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        f"GET {URI} HTTP/1.1\r\n{HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\n{HOST}Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\n{HOST}Content-Length: 5\r\ncontent-length: 5\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\n{HOST}Content-Length: 5, 5\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\n{HOST}Content-Length: +5\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\n{HOST}Content-Length: 0x5\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\n{HOST}Content-Length : 5\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\n{HOST}Transfer-Encoding: xchunked\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\n{HOST}X: 1\nContent-Length: 5\r\n\r\n",
        f"GET {URI} HTTP/1.1\n{HOST}\n\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\n{HOST}X: 1\rContent-Length: 5\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\n{HOST}X: 1\r\n Content-Length: 5\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\n\tX: 1\r\n{HOST}\r\n",
        f"GET {URI} HTTP/1.1\r\n{HOST}X: \0\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\n{HOST}{HOST}\r\n",
        f"GET {URI} HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\n\r\n",
        f"GET {URI} HTTP/1.1\r\n{HOST}no colon\r\n\r\n",
        f"GET  {URI} HTTP/1.1\r\n{HOST}\r\n",
        f"GET {URI}\r\n{HOST}\r\n",
        f"GET {URI}#fragment HTTP/1.1\r\n{HOST}\r\n",
        f"GET / HTTP/1.1\r\n{HOST}\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET https://127.0.0.1:1/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n",
        "GET ftp://127.0.0.1:1/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n",
        "GET http://user@127.0.0.1:1/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n",
        "GET http://127.0.0.1:1\\@evil.example/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n",
        "GET http://127.0.0.1%3a1/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n",
        "GET http:///x HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT 127.0.0.1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT http://127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT 127.0.0.1:1/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT 127.0.0.1:1@evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "\r\n\r\n",
        "\x16\x03\x01\r\n\r\n",
    ],
)
async def test_what_could_be_read_in_two_ways_is_malformed(request_: str) -> None:
    async with proxy("127.0.0.1:1") as entrance:
        assert status(await ask(entrance.port, request_.encode())) == 400


async def test_a_malformed_chunk_reaches_nobody() -> None:
    async with service(until=b"never") as upstream, proxy(upstream.here) as entrance:
        head = f"POST http://{upstream.here}/ HTTP/1.1\r\nHost: {upstream.here}\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert status(await ask(entrance.port, head.encode() + b"5\nhello\r\n0\r\n\r\n")) == 400
    assert b"hello" not in b"".join(upstream.heard)


async def test_headers_after_the_body_are_dropped() -> None:
    body = b"0\r\nHost: evil.example\r\n\r\n"
    async with service(until=b"0\r\n\r\n") as upstream, proxy(upstream.here) as entrance:
        head = f"POST http://{upstream.here}/ HTTP/1.1\r\nHost: {upstream.here}\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert status(await ask(entrance.port, head.encode() + body)) == 200
    assert b"evil" not in upstream.heard[0]


async def test_another_version_of_http_is_not_understood() -> None:
    async with proxy("127.0.0.1:1") as entrance:
        assert status(await ask(entrance.port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")) == 505


@pytest.mark.parametrize(
    "padding", [f"X: {'x' * HEAD_BYTES}\r\n\r\n", f"X: {'x' * HEAD_BYTES}", "X: 1\r\n" * HEADERS + "\r\n"]
)
async def test_a_head_that_is_too_large_is_told_so(padding: str) -> None:
    async with proxy("127.0.0.1:1") as entrance:
        assert status(await ask(entrance.port, f"GET {URI} HTTP/1.1\r\n{HOST}{padding}".encode())) == 431


async def test_a_head_that_does_not_come_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "HEAD_SECONDS", 0.05)
    async with proxy() as entrance:
        assert status(await ask(entrance.port, b"GET ")) == 408


async def test_an_exchange_in_which_nothing_moves_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "IDLE_SECONDS", 0.05)
    async with echo() as upstream, proxy(upstream.here) as entrance:
        answer = await ask(entrance.port, f"CONNECT {upstream.here} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert status(answer) == 200


async def test_one_connection_too_many_waits_for_another_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "CONNECTIONS", 1)
    async with proxy() as entrance:
        with closing(await connect(entrance.port)) as first:
            await send(first, b"GET ")
            second = await connect(entrance.port)
            with closing(second):
                await send(second, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                with anyio.move_on_after(0.1) as waiting:
                    await receive(second)
                assert waiting.cancelled_caught
                first.close()
                with anyio.fail_after(10):
                    assert status(await receive(second)) == 400


async def test_a_proxy_with_a_token_serves_who_shows_it() -> None:
    credentials = b64encode(b"remit:token").decode()
    async with service() as upstream, proxy(upstream.here, token="token") as entrance:
        head = f"GET http://{upstream.here}/ HTTP/1.1\r\nHost: {upstream.here}\r\n"
        for scheme in ("Basic", "basic"):
            shown = f"{head}Proxy-Authorization: {scheme} {credentials}\r\n\r\n"
            assert status(await ask(entrance.port, shown.encode())) == 200
    assert all(credentials.encode() not in heard for heard in upstream.heard)


@pytest.mark.parametrize(
    "header", ["", "Proxy-Authorization: Basic\r\n", "Proxy-Authorization: Basic cmVtaXQ6eA==\r\n"]
)
@pytest.mark.parametrize(
    "request_line", ["GET http://api.example.com/ HTTP/1.1", "CONNECT api.example.com:443 HTTP/1.1"]
)
async def test_a_proxy_with_a_token_serves_nobody_else(request_line: str, header: str) -> None:
    async with proxy("api.example.com", token="token") as entrance:
        answer = await ask(entrance.port, f"{request_line}\r\nHost: api.example.com\r\n{header}\r\n".encode())
    assert status(answer) == 407
    assert b'\r\nProxy-Authenticate: Basic realm="remit"\r\n' in answer
    assert entrance.refused == []
