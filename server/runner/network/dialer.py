"""Connections to allowed hosts: each name is looked up once, and only the checked addresses are connected to."""

import os
from collections.abc import Awaitable, Callable, Sequence
from errno import EINPROGRESS
from functools import partial
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SO_ERROR, SOCK_STREAM, SOL_SOCKET, TCP_NODELAY, getaddrinfo, socket

import anyio
from anyio import CapacityLimiter, to_thread

from server.runner.network.addresses import is_own, is_public
from server.runner.network.hosts import Address, Endpoint, HostRule, rule_for, unmapped

LOOKUP_SECONDS = 10.0  # two rounds of the C library's resolver, which waits 5 s for each server
CONNECT_SECONDS = 10.0  # for each address: three SYNs, sent after 0, 1 and 3 s

LOOKUPS = 8  # simultaneous ones of one command; more wait

Resolve = Callable[[Endpoint], Awaitable[Sequence[Address]]]


class HostRefused(Exception):
    """A refused host: the text says why, `rule` is the entry of the setting `network` that would allow it."""

    def __init__(self, reason: str, rule: str) -> None:
        super().__init__(reason)
        self.rule = rule


class Resolver:
    """Name resolution for one command. Its threads are not shared, so that no other command waits for a slow server."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(LOOKUPS)

    async def __call__(self, endpoint: Endpoint) -> Sequence[Address]:
        """Return every address of a host, in order of preference. Raises OSError if there is none."""
        look_up = partial(getaddrinfo, str(endpoint.host), endpoint.port, type=SOCK_STREAM)
        found = await to_thread.run_sync(look_up, abandon_on_cancel=True, limiter=self._limiter)
        return [ip_address(address[0]) for *_, address in found]


class Dialer:
    """Connects to hosts that its rules admit."""

    def __init__(self, rules: Sequence[HostRule], resolve: Resolve | None = None) -> None:
        self._rules = rules
        self._resolve = resolve or Resolver()

    async def dial(self, endpoint: Endpoint) -> socket:
        """Return a connected, non-blocking socket.

        Raises HostRefused for a host that is not allowed, OSError (TimeoutError) if it cannot be reached (in time).
        """
        if not self._admits(endpoint):
            raise HostRefused("is not among the hosts this task may reach", rule_for(endpoint))
        addresses = await self._addresses(endpoint)
        for address in addresses:
            self._check(address, endpoint)
        return await _connect_to_any([Endpoint(address, endpoint.port) for address in addresses])

    def _admits(self, endpoint: Endpoint) -> bool:
        return any(rule.admits(endpoint) for rule in self._rules)

    async def _addresses(self, endpoint: Endpoint) -> Sequence[Address]:
        if not isinstance(endpoint.host, str):
            return [endpoint.host]
        with anyio.fail_after(LOOKUP_SECONDS):
            return [unmapped(address) for address in await self._resolve(endpoint)]

    def _check(self, address: Address, endpoint: Endpoint) -> None:
        """Raise HostRefused for an address that is not public, unless a rule names it or it is localhost's."""
        named = self._admits(Endpoint(address, endpoint.port))
        if named or (endpoint.host == "localhost" and address.is_loopback):
            return
        if not is_public(address) or is_own(address):
            reason = f"leads to {address}, which is not a public address"
            raise HostRefused(reason, rule_for(Endpoint(address, endpoint.port)))


async def _connect_to_any(endpoints: Sequence[Endpoint]) -> socket:
    failure = OSError("it has no address")
    for endpoint in endpoints:
        try:
            with anyio.fail_after(CONNECT_SECONDS):
                return await _connect(endpoint)
        except OSError as error:
            failure = error
    raise failure


async def _connect(endpoint: Endpoint) -> socket:
    connection = socket(AF_INET6 if ":" in str(endpoint.host) else AF_INET, SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        failure = connection.connect_ex((str(endpoint.host), endpoint.port))
        if failure == EINPROGRESS:
            await anyio.wait_writable(connection)
            failure = connection.getsockopt(SOL_SOCKET, SO_ERROR)
        if failure:
            raise OSError(failure, os.strerror(failure))
    except BaseException:
        connection.close()
        raise
    return connection
