"""Which process has connected: one of the person's own surroundings, one of other surroundings, or one of a task.

A task that has found a way to the socket is not let in. Namespaces are compared by device and inode, as namespaces(7)
says; what a process says of itself plays no part.
"""

import fcntl
import logging
import os
import select
import socket
from contextlib import closing, suppress
from enum import Enum
from typing import Literal

from server.errors import Code, RemitError
from server.runner import process_tree

_log = logging.getLogger(__name__)

SO_PEERPIDFD = 77  # asm-generic/socket.h; Linux 6.5
NS_GET_PARENT = 0xB702  # linux/nsfs.h

_TURNED_AWAY = (
    "this server does not talk to what runs in a sandbox, or in a task, nor to a process that it may not look at (one "
    "of another user, or one that hides itself); if that is a container, a flatpak, `sudo` or `unshare` of your own, "
    "run remit outside of it, or set REMIT_HOME there to another folder, for a server of its own"
)

Kind = Literal["pid", "user", "mnt"]


class Standing(Enum):
    """What a peer may be taken for."""

    PERSON = "person"
    """In this server's own namespaces: a terminal, if it says so."""

    CALLER = "caller"
    """In other namespaces, as a program of a snap or a container: a client, never a person."""

    TASK = "task"
    """Beneath this server itself, in a sandbox, gone by now, or not to be looked at: not to be let in."""


def standing(connection: socket.socket, pid: int) -> Standing:
    """What the process that has connected may be taken for; `pid` is its number as the socket tells it.

    Where the kernel has descriptors for peers, the process is known to have had that number all along.
    """
    if pid == 0:
        return Standing.CALLER  # in namespaces that this one cannot see, so above it or beside it
    try:
        found = _standing(pid)
    except ProcessLookupError:
        return Standing.TASK
    return Standing.TASK if _has_ended(connection) else found


def turned_away(pid: int) -> RemitError:
    """The error for a process of a task, which is on record in the log."""
    _log.warning("process %d was turned away: it is in a sandbox, beneath this server, or not to be looked at", pid)
    return RemitError(Code.FORBIDDEN, _TURNED_AWAY)


def believed(role: str, standing: Standing, pid: int) -> str:
    """The role that a peer says it has, unless only a process in the person's own surroundings may have that."""
    if role != "terminal" or standing is Standing.PERSON:
        return role
    _log.warning(
        "process %d is in other namespaces than this server, as in a snap or a container: it is not taken for a person "
        "at a terminal; if it is one, stop the server and start it from there",
        pid,
    )
    return "pipe"


def _standing(pid: int) -> Standing:
    """Raises ProcessLookupError for one that is gone."""
    if _descends(pid, os.getpid()) or _is_below("pid", pid) or _is_below("user", pid):
        return Standing.TASK
    kinds: tuple[Kind, ...] = ("pid", "user", "mnt")
    own = [_namespace(f"/proc/self/ns/{kind}") for kind in kinds]
    theirs = [_namespace(f"/proc/{pid}/ns/{kind}") for kind in kinds]
    return Standing.PERSON if None not in theirs and theirs == own else Standing.CALLER


def _descends(pid: int, ancestor: int) -> bool:
    """Whether a process is beneath another one."""
    while pid > 1:
        fields = process_tree.stat(pid)
        if not fields:
            raise ProcessLookupError(pid)
        pid = int(fields[1])
        if pid == ancestor:
            return True
    return False


def _is_below(kind: Kind, pid: int) -> bool:
    """Whether the namespace of a process is within this server's own, or may be, as it cannot be looked at.

    What is beside that shows no parent.
    """
    own = _namespace(f"/proc/self/ns/{kind}")
    try:
        namespace = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:  # one of another user's, or one that hides itself, as a program in a sandbox can
        return True
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    if _identity(os.fstat(namespace)) == own:
        os.close(namespace)
        return False
    while True:
        try:
            parent = fcntl.ioctl(namespace, NS_GET_PARENT)
        except OSError:
            return False
        finally:
            os.close(namespace)
        if _identity(os.fstat(parent)) == own:
            os.close(parent)
            return True
        namespace = parent


def _namespace(path: str) -> tuple[int, int] | None:
    """The device and the inode of a namespace; None where it is not to be looked at."""
    try:
        return _identity(os.stat(path))
    except PermissionError:
        return None
    except FileNotFoundError:
        raise ProcessLookupError(path) from None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _has_ended(connection: socket.socket) -> bool:
    """Whether the process that has connected has ended; False where the kernel has no descriptor for it."""
    with suppress(OSError):
        descriptor = connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
        with closing(os.fdopen(descriptor, "rb", 0)) as process:
            events = select.poll()
            events.register(process, select.POLLIN)
            return bool(events.poll(0))
    return False
