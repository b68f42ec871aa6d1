"""Classification of connecting processes: in the person's own namespaces, in others, or belonging to a task.

A task that has found a way to the socket is refused. Namespaces are compared by device and inode, as namespaces(7)
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
    """The roles that a peer may have."""

    PERSON = "person"
    """In this server's own namespaces: a terminal, if it says so."""

    CALLER = "caller"
    """In other namespaces, like a program of a snap or a container: a client, never a person."""

    TASK = "task"
    """Descended from this server, in a sandbox, gone already, or not inspectable: to be refused."""


def standing(connection: socket.socket, pid: int) -> Standing:
    """Return what the connecting process may be; `pid` is its number as the socket reports it.

    If the kernel has pidfds for peers (Linux 6.5), the process is known to have had that number all along.
    """
    if pid == 0:
        return Standing.CALLER  # in namespaces that this one cannot see, so above it or beside it
    try:
        found = _standing(pid)
    except ProcessLookupError:
        return Standing.TASK
    return Standing.TASK if _has_ended(connection) else found


def turned_away(pid: int) -> RemitError:
    """Return the error for a process of a task, and log it."""
    _log.warning("process %d was turned away: it is in a sandbox, beneath this server, or not to be looked at", pid)
    return RemitError(Code.FORBIDDEN, _TURNED_AWAY)


def believed(role: str, standing: Standing, pid: int) -> str:
    """Return the role that a peer claims, unless it claims `terminal` from other namespaces: then `pipe`."""
    if role != "terminal" or standing is Standing.PERSON:
        return role
    _log.warning(
        "process %d is in other namespaces than this server, as in a snap or a container: it is not taken for a person "
        "at a terminal; if it is one, stop the server and start it from there",
        pid,
    )
    return "pipe"


def _standing(pid: int) -> Standing:
    """Return what a process may be. Raises ProcessLookupError if it is gone."""
    if _descends(pid, os.getpid()) or _is_below("pid", pid) or _is_below("user", pid):
        return Standing.TASK
    kinds: tuple[Kind, ...] = ("pid", "user", "mnt")
    own = [_namespace(f"/proc/self/ns/{kind}") for kind in kinds]
    theirs = [_namespace(f"/proc/{pid}/ns/{kind}") for kind in kinds]
    return Standing.PERSON if None not in theirs and theirs == own else Standing.CALLER


def _descends(pid: int, ancestor: int) -> bool:
    """Return whether a process is a descendant of another one. Raises ProcessLookupError if it is gone."""
    while pid > 1:
        fields = process_tree.stat(pid)
        if not fields:
            raise ProcessLookupError(pid)
        pid = int(fields[1])
        if pid == ancestor:
            return True
    return False


def _is_below(kind: Kind, pid: int) -> bool:
    """Return whether a process's namespace is below this server's own, or may be, since it cannot be inspected.

    A sibling namespace shows no parent.
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
    """Return the device and inode of a namespace; None if it cannot be inspected."""
    try:
        return _identity(os.stat(path))
    except PermissionError:
        return None
    except FileNotFoundError:
        raise ProcessLookupError(path) from None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _has_ended(connection: socket.socket) -> bool:
    """Return whether the connected process has ended; False if the kernel has no pidfd for it."""
    with suppress(OSError):
        descriptor = connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
        with closing(os.fdopen(descriptor, "rb", 0)) as process:
            events = select.poll()
            events.register(process, select.POLLIN)
            return bool(events.poll(0))
    return False
