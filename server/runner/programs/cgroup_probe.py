"""A program that tests the limits of a control group, outside any sandbox: one step for each line on its stdin.

After each step it prints a line, and the server reads the group's files. It imports the standard library alone.
"""

import os
import socket
import sys
import time
from contextlib import suppress
from signal import SIG_IGN, SIGCHLD, SIGKILL, signal

BUSY_SECONDS = 0.03
MANY = 8  # processes: twice the limit
SOCKETS = 64  # each holds some 200 KiB: the default of net.core.wmem_default
BLOCK = bytes(2**16)
MUCH = 64 * 2**20  # bytes of memory: more than the limit


def main() -> None:
    """Do one step for each line on stdin, and report each on stdout."""
    for step in (start_processes, fill_sockets, take_memory):
        sys.stdin.readline()
        held = step()
        print(step.__name__, len(held), flush=True)


def start_processes() -> list[int]:
    """Start too many processes. The first uses processor time and is not waited for."""
    signal(SIGCHLD, SIG_IGN)
    children = []
    for number in range(MANY):
        try:
            child = os.fork()
        except OSError:
            break
        if child == 0:
            end = time.process_time() + BUSY_SECONDS
            while number == 0 and time.process_time() < end:
                pass
            time.sleep(60 if number else 0)
            os._exit(0)
        children.append(child)
    wait_for(children[0])
    for child in children[1:]:
        os.kill(child, SIGKILL)
        wait_for(child)
    return children


def wait_for(child: int) -> None:
    """Wait until a child has ended."""
    with suppress(ChildProcessError):  # raised at the end of children that the kernel reaps, as SIGCHLD is ignored
        os.waitpid(child, 0)


def fill_sockets() -> list[socket.socket]:
    """Fill the kernel's buffers of socket pairs, and return these, to be kept open until the next step."""
    pairs = [socket.socketpair() for _ in range(SOCKETS)]
    for sender, _ in pairs:
        sender.setblocking(False)
        try:
            while sender.send(BLOCK):
                pass
        except BlockingIOError:
            pass
    return [end for pair in pairs for end in pair]


def take_memory() -> list[int]:
    """Use more memory than the limit in a child, which the kernel then kills."""
    child = os.fork()
    if child == 0:
        taken = bytearray(MUCH)
        for offset in range(0, MUCH, 4096):
            taken[offset] = 1
        os._exit(0)
    wait_for(child)
    return [child]


if __name__ == "__main__":
    main()
