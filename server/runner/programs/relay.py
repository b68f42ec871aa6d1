"""Runs inside the sandbox, as an MCP server over stdio: relays between its stdio and the callback channel.

Started as `python -I -S relay.py`, made of the standard library alone. Where the channel is and what opens it stands in
REMIT_DOOR and REMIT_TOKEN.
"""

import os
import select
import socket


def main() -> None:
    host, _, port = os.environ["REMIT_DOOR"].rpartition(":")
    with socket.create_connection((host, int(port))) as channel:
        channel.sendall(os.environ["REMIT_TOKEN"].encode() + b"\n")
        relay(channel)


def relay(channel: socket.socket) -> None:
    """Until the channel closes; the end of the input is passed on, and what is still to come is waited for."""
    sources = [0, channel.fileno()]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if channel.fileno() in ready:
            data = channel.recv(65536)
            if not data:
                return
            write(data)
        if 0 in ready:
            data = os.read(0, 65536)
            channel.sendall(data)
            if not data:
                channel.shutdown(socket.SHUT_WR)
                sources.remove(0)


def write(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]


if __name__ == "__main__":
    main()
