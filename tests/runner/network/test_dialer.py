"""A name is looked up once, all it leads to is checked, and the connection is made to what was checked."""

import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from ipaddress import ip_address
from socket import AF_INET, SOCK_STREAM

import anyio
import pytest

from server.runner.network import dialer as dialers
from server.runner.network.dialer import Dialer, HostRefused, Resolve
from server.runner.network.hosts import Address, Endpoint, HostRule
from tests.runner.network.services import names, service

PATIENCE = 20.0
"""Seconds: far above what a connection on this machine takes."""


def dialer(*rules: str, resolve: Resolve) -> Dialer:
    return Dialer([HostRule.parse(rule) for rule in rules], resolve)


async def unknown(endpoint: Endpoint) -> Sequence[Address]:
    raise AssertionError(f"{endpoint} was looked up")


class Sequel:
    """A resolver that tells something else each time."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def __call__(self, _: Endpoint) -> Sequence[Address]:
        return [ip_address(self.addresses.pop(0))]


async def test_a_host_that_is_not_allowed_is_not_even_looked_up() -> None:
    with pytest.raises(HostRefused, match="not among the hosts") as caught:
        await dialer("api.example.com", resolve=unknown).dial(Endpoint("secret.evil.com", 443))
    assert caught.value.rule == "secret.evil.com"


async def test_an_address_needs_no_lookup() -> None:
    async with service() as upstream:
        connection = await dialer(upstream.here, resolve=unknown).dial(Endpoint.parse(upstream.here))
        with closing(connection):
            assert connection.getpeername() == ("127.0.0.1", upstream.port)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fd00::1"])
async def test_a_name_that_leads_to_a_private_address_is_refused(address: str) -> None:
    with pytest.raises(HostRefused, match="not a public address"):
        await dialer("a.example", resolve=names(a=address)).dial(Endpoint("a.example", 443))


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    resolve = names(a=["1.1.1.1", "10.0.0.1"])
    with pytest.raises(HostRefused, match=r"10\.0\.0\.1"):
        await dialer("a.example", resolve=resolve).dial(Endpoint("a.example", 443))


async def test_a_public_address_of_this_very_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialers, "is_public", lambda _: True)
    with pytest.raises(HostRefused, match="not a public address"):
        await dialer("a.example", resolve=names(a="127.0.0.1")).dial(Endpoint("a.example", 443))


async def test_a_refusal_names_the_rule_that_would_allow_it() -> None:
    with pytest.raises(HostRefused) as caught:
        await dialer("a.example:8443", resolve=names(a="::ffff:10.0.0.1")).dial(Endpoint("a.example", 8443))
    assert caught.value.rule == "10.0.0.1:8443"


async def test_a_name_may_lead_to_a_private_address_that_is_named_too() -> None:
    async with service() as upstream:
        allowed = dialer(f"a.example:{upstream.port}", upstream.here, resolve=names(a="127.0.0.1"))
        with closing(await allowed.dial(Endpoint("a.example", upstream.port))) as connection:
            assert connection.getpeername() == ("127.0.0.1", upstream.port)


async def test_a_name_that_later_leads_elsewhere_is_looked_up_once_for_each_connection_and_refused_then() -> None:
    async with service() as upstream:
        sequel = Sequel("127.0.0.1", "127.0.0.2")
        allowed = dialer(f"a.example:{upstream.port}", upstream.here, resolve=sequel)
        with closing(await allowed.dial(Endpoint("a.example", upstream.port))) as connection:
            assert connection.getpeername() == ("127.0.0.1", upstream.port)
        assert sequel.addresses == ["127.0.0.2"]
        with pytest.raises(HostRefused, match=r"127\.0\.0\.2"):
            await allowed.dial(Endpoint("a.example", upstream.port))


async def test_localhost_leads_to_the_loopback_where_it_is_named() -> None:
    async with service() as upstream:
        allowed = dialer(f"localhost:{upstream.port}", resolve=names(localhost="127.0.0.1"))
        with closing(await allowed.dial(Endpoint("localhost", upstream.port))) as connection:
            assert connection.getpeername() == ("127.0.0.1", upstream.port)


async def test_localhost_that_leads_elsewhere_is_refused() -> None:
    with pytest.raises(HostRefused, match=r"10\.0\.0\.1"):
        await dialer("localhost", resolve=names(localhost="10.0.0.1")).dial(Endpoint("localhost", 80))


async def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    async with service() as upstream:
        rules = (f"a.example:{upstream.port}", upstream.here, f"127.0.0.3:{upstream.port}")
        allowed = dialer(*rules, resolve=names(a=["127.0.0.3", "127.0.0.1"]))
        with closing(await allowed.dial(Endpoint("a.example", upstream.port))) as connection:
            assert connection.getpeername() == ("127.0.0.1", upstream.port)


async def test_a_host_that_does_not_listen_cannot_be_reached() -> None:
    with pytest.raises(ConnectionRefusedError):
        await dialer("127.0.0.1:1", resolve=unknown).dial(Endpoint.parse("127.0.0.1:1"))


async def test_lookups_that_take_long_hold_up_those_of_no_other_command(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        if host == "slow.example":
            over.wait(PATIENCE)
            raise OSError("it has no address")
        return [(AF_INET, SOCK_STREAM, 0, "", ("127.0.0.1", port))]

    monkeypatch.setattr(dialers, "getaddrinfo", look_up)
    slow = Dialer([HostRule.parse("slow.example")])
    async with service() as upstream, anyio.create_task_group() as group:
        for _ in range(64):
            group.start_soon(_fail, slow, Endpoint("slow.example", 443))
        other = Dialer([HostRule.parse(f"fast.example:{upstream.port}"), HostRule.parse(upstream.here)])
        with anyio.fail_after(PATIENCE / 2):
            connection = await other.dial(Endpoint("fast.example", upstream.port))
        connection.close()
        group.cancel_scope.cancel()
        over.set()


async def _fail(dialer: Dialer, endpoint: Endpoint) -> None:
    with suppress(OSError):
        await dialer.dial(endpoint)
