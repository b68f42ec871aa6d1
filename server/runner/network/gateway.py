"""The gateway: the loopback port through which a command reaches its proxy."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from secrets import token_urlsafe
from socket import create_server, socket
from typing import Self

USER = "remit"
BACKLOG = 128  # waiting connections: twice what a proxy serves at a time

NAMES_GAP = (
    "With a network by name a command is held to the names it asks for, and what passes is not looked into: a host "
    "that also serves other names can be made to serve those."
)

Report = Callable[[str, int, str], Awaitable[None]]
"""Called for a refused host with its name or address, the port, and the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A loopback port on which the command's proxy listens."""

    port: int
    token: str | None = None
    """The password that tells the command from other processes; None if no other can reach the port."""

    listener: socket | None = None
    """The listening socket; None if the launcher opens it in a network namespace of the command's own."""

    @classmethod
    def open(cls) -> Self:
        """Open a gateway on the host's loopback. The caller closes its listener."""
        listener = create_server(("127.0.0.1", 0), backlog=BACKLOG)
        return cls(port=listener.getsockname()[1], token=token_urlsafe(), listener=listener)

    def environment(self) -> dict[str, str]:
        """Return the proxy variables for the command, such as HTTPS_PROXY."""
        credentials = f"{USER}:{self.token}@" if self.token else ""
        url = f"http://{credentials}127.0.0.1:{self.port}"
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), url)
        return {**proxies, "NO_PROXY": "", "no_proxy": ""}
