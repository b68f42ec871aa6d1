"""Runs inside the sandbox, as an MCP server over stdio: passes what it reads to the door of its run, and back.

Started as `python -I -S relay.py`, made of the standard library alone. Where the door is and what opens it stands in
REMIT_DOOR and REMIT_TOKEN.
"""

import os
import select
import socket


def main() -> None:
    host, _, port = os.environ["REMIT_DOOR"].rpartition(":")
    with socket.create_connection((host, int(port))) as door:
        door.sendall(os.environ["REMIT_TOKEN"].encode() + b"\n")
        relay(door)


def relay(door: socket.socket) -> None:
    """Until the door closes; the end of the input is passed on, and what is still to come is waited for."""
    sources = [0, door.fileno()]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if door.fileno() in ready:
            data = door.recv(65536)
            if not data:
                return
            write(data)
        if 0 in ready:
            data = os.read(0, 65536)
            door.sendall(data)
            if not data:
                door.shutdown(socket.SHUT_WR)
                sources.remove(0)


def write(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]


if __name__ == "__main__":
    main()
