"""The canary's program, run inside a sandbox: it tries what must not be possible, and prints what succeeded.

Its arguments are a file outside the sandbox and a port on the host's loopback. The last line it prints is `done`.
"""

import os
import socket
import sys
from collections.abc import Callable


def main(outside: str, port: str) -> None:
    """Print each claim that holds, then `done`."""
    claims: dict[str, Callable[[], bool]] = {
        "a file outside can be read": lambda: opens(outside),
        "a service of this machine can be reached": lambda: connects(int(port)),
        "another process's environment can be read": reads_environments,
        "it can gain privileges": lambda: status("NoNewPrivs") != "1",
        "its system calls are not filtered": lambda: status("Seccomp") != "2",
        "it cannot write to its workspace": lambda: not writes("canary"),
    }
    for claim, holds in claims.items():
        if holds():
            print(claim)
    print("done")


def opens(path: str) -> bool:
    """Return whether a file can be opened for reading."""
    try:
        with open(path):
            return True
    except OSError:
        return False


def writes(path: str) -> bool:
    """Return whether a file can be written."""
    try:
        with open(path, "w") as file:
            return file.write("written") > 0
    except OSError:
        return False


def connects(port: int) -> bool:
    """Return whether a port of the host's loopback can be connected to."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def reads_environments() -> bool:
    """Return whether the environment of another process can be read."""
    return any(
        name.isdigit() and name != str(os.getpid()) and reads(f"/proc/{name}/environ") for name in os.listdir("/proc")
    )


def reads(path: str) -> bool:
    """Return whether a file can be read and is not empty."""
    try:
        with open(path, "rb") as file:
            return bool(file.read())
    except OSError:
        return False


def status(name: str) -> str:
    """Return a field of /proc/self/status."""
    with open("/proc/self/status") as lines:
        return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
