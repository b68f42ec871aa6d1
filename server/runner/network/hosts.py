"""Hosts and ports: the rules of the setting `network`, and the endpoints that programs ask for."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, Self

from server.errors import Code, RemitError

Address = IPv4Address | IPv6Address

HTTP_PORT, HTTPS_PORT = 80, 443

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_LONGEST_NAME = 253  # RFC 1035 §2.3.4 allows 255 octets, two of which are a length and the root

# C libraries read a name that ends in such a label as an unusual notation of an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class Endpoint(NamedTuple):
    """A host (normalized name or address) and a port."""

    host: str | Address
    port: int

    @classmethod
    def parse(cls, text: str, default_port: int | None = None) -> Self:
        """Parse `host:port`. Raises ValueError whose text completes "TEXT …", such as "names no port"."""
        host, port = _split(text)
        port = default_port if port is None else port
        if port is None:
            raise ValueError("names no port")
        return cls(host, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if isinstance(self.host, IPv6Address) else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class HostRule:
    """A rule that allows a host, or every subdomain of a name, on some ports."""

    host: str | Address
    ports: tuple[int, ...]
    subdomains: bool

    @classmethod
    def parse(cls, text: str) -> "HostRule":
        """Parse `host`, `*.host` or an address (IPv6 in brackets), each with an optional `:port`.

        Without a port, the rule allows 80 and 443. Raises RemitError (VALIDATION_ERROR).
        """
        name = text.removeprefix("*.")
        subdomains = name != text
        try:
            host, port = _split(name)
            if subdomains and not isinstance(host, str):
                raise ValueError("is an address, which has no sub-domains")
        except ValueError as error:
            raise RemitError(
                Code.VALIDATION_ERROR,
                f'network: "{text}" {error}; write a host as api.example.com, *.example.com, api.example.com:8443, '
                "192.0.2.1 or [2001:db8::1]:80",
                field="network",
            ) from None
        return cls(host, (HTTP_PORT, HTTPS_PORT) if port is None else (port,), subdomains)

    def admits(self, endpoint: Endpoint) -> bool:
        """Return whether this rule allows an endpoint, compared by name or address without looking it up."""
        if endpoint.port not in self.ports:
            return False
        if self.subdomains:
            return isinstance(endpoint.host, str) and endpoint.host.endswith(f".{self.host}")
        return endpoint.host == self.host


def unmapped(address: Address) -> Address:
    """Return the IPv4 address of an IPv4-mapped IPv6 address, or the address itself."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def rule_for(endpoint: Endpoint) -> str:
    """Return the text of the narrowest rule that would admit an endpoint."""
    return (
        str(endpoint).removesuffix(f":{endpoint.port}") if endpoint.port in (HTTP_PORT, HTTPS_PORT) else str(endpoint)
    )


def _split(text: str) -> tuple[str | Address, int | None]:
    if not text.isascii():  # the encoded form shows when two names merely look the same
        raise ValueError("is not in ASCII: write such a name in its encoded form, xn--…")
    parts = _AUTHORITY.fullmatch(text)
    if parts is None:
        raise ValueError("is not a host")
    host, port = parts.groups()
    if port is not None and not 0 < int(port) < 2**16:
        raise ValueError("has a port that does not exist")
    return _host(host.lower()), None if port is None else int(port)


def _host(text: str) -> str | Address:
    """Return the normalized name or address, in which hosts can be compared. Raises ValueError."""
    if text.startswith("["):
        return unmapped(IPv6Address(text[1:-1]))
    name = text.removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return IPv4Address(name)
    if len(name) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("is not a host")
    return name
