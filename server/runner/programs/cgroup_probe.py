"""Runs in a control group to try its limits: at each line it is sent it does the next of three things, and says so.

The server looks at the group's own files in between. Made of the standard library alone, like the launcher.
"""

import os
import socket
import sys
import time
from contextlib import suppress
from signal import SIG_IGN, SIGCHLD, SIGKILL, signal

BUSY_SECONDS = 0.03
MANY = 8  # processes, twice as many as are allowed
SOCKETS = 64  # with some 200 KiB in each: the default of net.core.wmem_default
BLOCK = bytes(2**16)
MUCH = 64 * 2**20  # more memory than is allowed


def main() -> None:
    for step in (be_many, burden_the_kernel, be_large):
        sys.stdin.readline()
        held = step()
        print(step.__name__, len(held), flush=True)


def be_many() -> list[int]:
    """Start too many processes; and have one, which nobody collects, take its time."""
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
    with suppress(ChildProcessError):  # which is how the kernel tells the end of what it collects itself
        os.waitpid(child, 0)


def burden_the_kernel() -> list[socket.socket]:
    """Have it hold what was sent, and nobody receives, until the next step is done."""
    pairs = [socket.socketpair() for _ in range(SOCKETS)]
    for sender, _ in pairs:
        sender.setblocking(False)
        try:
            while sender.send(BLOCK):
                pass
        except BlockingIOError:
            pass
    return [end for pair in pairs for end in pair]


def be_large() -> list[int]:
    """Take more memory than there is, in a child: the kernel ends one that does."""
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
