"""The way from a command to its proxy."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from secrets import token_urlsafe
from socket import create_server, socket
from typing import Self

USER = "remit"
BACKLOG = 128  # connections that wait to be taken: twice what a proxy serves at a time

NAMES_GAP = (
    "With a network by name a command is held to the names it asks for, and what passes is not looked into: a host "
    "that also serves other names can be made to serve those."
)

Report = Callable[[str, int, str], Awaitable[None]]
"""Told of a refused host: its name or address, the port, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A port of the command's own loopback."""

    port: int
    token: str | None = None
    """What tells the command from others that could come to this port; None where no others can."""

    listener: socket | None = None
    """What listens there; None where only the launcher can, in the network that is the command's alone."""

    @classmethod
    def open(cls) -> Self:
        """One on this machine's loopback, whose listener is the caller's to close."""
        listener = create_server(("127.0.0.1", 0), backlog=BACKLOG)
        return cls(port=listener.getsockname()[1], token=token_urlsafe(), listener=listener)

    def environment(self) -> dict[str, str]:
        """The variables by which programs find it."""
        credentials = f"{USER}:{self.token}@" if self.token else ""
        url = f"http://{credentials}127.0.0.1:{self.port}"
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), url)
        return {**proxies, "NO_PROXY": "", "no_proxy": ""}
