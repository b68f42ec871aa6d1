"""The MCP servers of a turn: as configured, with the task's values resolved."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from server.config import McpServerSettings
from server.errors import Code, RemitError
from server.runner.network.hosts import HTTP_PORT, HTTPS_PORT, HostRule

_PORTS = {"http": HTTP_PORT, "https": HTTPS_PORT}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # token, RFC 9110 §5.6.2
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # what no header's value may hold, RFC 9110 §5.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A server that is spoken to over streamable HTTP. Its address and headers are secret."""

    name: str
    settings: McpServerSettings = field(repr=False)
    """The settings as written: tools allowed and denied, and the time limit of a call."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    hosts: tuple[str, ...]
    """The hosts it must be allowed to reach, in the words of `HostRule.parse`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """A server that is a program, to be run in the sandbox and spoken to over stdio. Its variables are secret."""

    name: str
    settings: McpServerSettings = field(repr=False)
    """The settings as written: tools allowed and denied, and the time limit of a call."""

    argv: tuple[str, ...] = field(repr=False)
    env: Mapping[str, str] = field(repr=False)

    hosts: tuple[str, ...]
    """The hosts it may reach, in the words of `HostRule.parse`."""


def resolve(
    names: Sequence[str], known: Mapping[str, McpServerSettings], fill_in: Callable[[str], str]
) -> list[Remote | Local]:
    """Return the servers called `names`, in order, each once, as `known` describes them; `fill_in` is the turn's.

    Raises RemitError that names the server, and shows nothing that was filled in: TEMPLATE_ERROR for a missing key,
    VALIDATION_ERROR for a server that is not known, or one whose address, header or argument is none once it is
    filled in.
    """
    return [_resolve(name, _settings(name, known), fill_in) for name in dict.fromkeys(names)]


def _settings(name: str, known: Mapping[str, McpServerSettings]) -> McpServerSettings:
    if name not in known:
        there_are = ", ".join(sorted(known)) or "none"
        raise RemitError(
            Code.VALIDATION_ERROR,
            f"mcpServers: the settings have no MCP server {name!r} (known: {there_are}); add [mcp_servers.{name}]",
            field="mcpServers",
        )
    return known[name]


def _resolve(name: str, settings: McpServerSettings, fill_in: Callable[[str], str]) -> Remote | Local:
    try:
        return _remote(name, settings, fill_in) if settings.url else _local(name, settings, fill_in)
    except RemitError as error:
        message = f"mcp_servers.{name}: {error.message}"
        raise RemitError(error.code, message, **(error.details | {"mcpServer": name})) from None


def _remote(name: str, settings: McpServerSettings, fill_in: Callable[[str], str]) -> Remote:
    assert settings.url
    url = fill_in(settings.url)
    headers = {key: fill_in(value) for key, value in settings.headers.items()}
    for key, value in headers.items():
        _check_header(key, value)
    return Remote(name=name, settings=settings, url=url, headers=headers, hosts=(_host(url),))


def _local(name: str, settings: McpServerSettings, fill_in: Callable[[str], str]) -> Local:
    assert settings.command
    args = tuple(map(fill_in, settings.args))
    env = {key: fill_in(value) for key, value in settings.env.items()}
    if any("\0" in text for text in (*args, *env.values())):
        raise _refused("an argument or variable holds a NUL character once it is filled in")
    hosts = () if settings.network == "none" else settings.network
    return Local(name=name, settings=settings, argv=(settings.command, *args), env=env, hosts=hosts)


def _check_header(key: str, value: str) -> None:
    if not _HEADER_NAME.fullmatch(key):
        raise _refused(f"headers: {key!r} is no name for a header")
    if _CONTROL.search(value) or value != value.strip():
        raise _refused(
            f"headers.{key}: once it is filled in it holds a line break or another character that no header may, "
            "or begins or ends with a blank; is there one at the end of the secret?"
        )


def _host(url: str) -> str:
    """Return the host and port of an address. The address itself is not shown: it may hold a secret."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
        host = parts.hostname or ""
        rule = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        HostRule.parse(rule)
    except (ValueError, KeyError, RemitError):
        raise _refused("url: once it is filled in it is not the http or https address of a host") from None
    return rule


def _refused(reason: str) -> RemitError:
    return RemitError(Code.VALIDATION_ERROR, reason)
