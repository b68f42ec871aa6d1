"""The program that agents in the sandbox start as an MCP server: it relays its stdio to the callback channel.

Started as `python -I -S relay.py`. It imports the standard library alone. The channel's address is in REMIT_DOOR, its
token in REMIT_TOKEN.
"""

import os
import select
import socket


def main() -> None:
    """Connect to the callback channel, send the token, and relay."""
    host, _, port = os.environ["REMIT_DOOR"].rpartition(":")
    with socket.create_connection((host, int(port))) as channel:
        channel.sendall(os.environ["REMIT_TOKEN"].encode() + b"\n")
        relay(channel)


def relay(channel: socket.socket) -> None:
    """Copy both ways until the channel closes. The end of stdin is passed on, and answers are still received then."""
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
    """Write all of `data` to stdout."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]


if __name__ == "__main__":
    main()
