"""Things out of a sandbox's reach: sets them up, prints their numbers, and waits for the end of its input.

In its folder it makes a file for each way that is to be tried, and a unix socket; it listens on an abstract socket,
over TCP and over UDP, has a shared memory segment, and is itself the process to be left alone.
"""

import ctypes
import os
import select
import socket
import sys

IPC_PRIVATE, IPC_RMID = 0, 0

libc = ctypes.CDLL(None, use_errno=True)


def main(folder: str, *ways: str) -> None:
    os.makedirs(folder)
    for way in ways:
        with open(f"{folder}/{way}", "w") as file:
            file.write("secret")
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    listeners = [tcp, listening(f"{folder}/socket"), listening(f"\0{folder}")]
    segment = libc.shmget(IPC_PRIVATE, 4096, 0o600)
    print(os.getpid(), tcp.getsockname()[1], udp.getsockname()[1], segment, flush=True)
    try:
        answer(udp)
    finally:
        libc.shmctl(segment, IPC_RMID, None)
        for each in (udp, *listeners):
            each.close()


def listening(name: str) -> socket.socket:
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(name)
    unix.listen()
    return unix


def answer(udp: socket.socket) -> None:
    while True:
        readable, _, _ = select.select([udp, sys.stdin], [], [])
        if sys.stdin in readable:
            return
        data, sender = udp.recvfrom(100)
        udp.sendto(data, sender)


if __name__ == "__main__":
    main(*sys.argv[1:])
