"""Landlock rulesets: access to paths and TCP ports, enforced by the kernel without namespaces.

The rights, and the ABI version that introduced each, are in linux/landlock.h.
"""

import ctypes
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

OLDEST_ABI = 3
"""Linux 6.2. Older kernels have no right for truncation, so that a command could empty files outside."""

NETWORK_ABI = 4
"""Linux 6.7, the first with rules for TCP ports."""

SCOPES_ABI = 6
"""Linux 6.12, the first that confines signals and abstract sockets to the domain."""

_CREATE_RULESET, _VERSION = 444, 1  # landlock_create_ruleset(2), and its flag that asks for the ABI


class Right(IntFlag):
    """A right to files: LANDLOCK_ACCESS_FS_* of linux/landlock.h."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


_EVERY = Right(2**16 - 1)
_USE = Right.READ_FILE | Right.WRITE_FILE | Right.IOCTL_DEV
_READ = Right.EXECUTE | Right.READ_FILE | Right.READ_DIR
_WRITE = _EVERY & ~(Right.MAKE_CHAR | Right.MAKE_BLOCK | Right.IOCTL_DEV)

_CONNECT_TCP = 1 << 1
_EVERY_NETWORK_RIGHT = 0b11  # bind and connect over TCP
_EVERY_SCOPE = 0b11  # abstract sockets and signals


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A Landlock ruleset: all rights of its ABI are denied, except those granted for a path or a port."""

    abi: int
    grants: tuple[tuple[Path, Right], ...]
    ports: tuple[int, ...] | None
    """The TCP ports that it may connect to; None if TCP is not restricted."""

    def records(self) -> Iterator[tuple[str, str]]:
        """Yield the records of the launcher's plan: the handled rights, then the grants."""
        handled = _handled(self.abi)
        network = _EVERY_NETWORK_RIGHT if self.abi >= NETWORK_ABI and self.ports is not None else 0
        scopes = _EVERY_SCOPE if self.abi >= SCOPES_ABI else 0
        yield "ruleset", f"{int(handled)} {network} {scopes}"
        for path, rights in self.grants:
            yield "rule", f"{int(rights & handled)} {path}"
        for port in self.ports or ():
            yield "port", f"{_CONNECT_TCP} {port}"


def ruleset(abi: int, granted: tuple[tuple[Path, Right], ...], *, ports: tuple[int, ...] | None) -> Ruleset | None:
    """Return a ruleset for this kernel; None if its ABI is older than OLDEST_ABI."""
    return Ruleset(abi, granted, ports) if abi >= OLDEST_ABI else None


def grants(*, read: Iterable[Path], write: Iterable[Path], use: Iterable[Path]) -> tuple[tuple[Path, Right], ...]:
    """Return the rights for each path: `read` also executes, `write` also reads, `use` is for devices."""
    purposes = ((_READ, read), (_WRITE, write), (_USE, use))
    return tuple((path, rights) for rights, paths in purposes for path in paths)


def abi() -> int:
    """Return the kernel's Landlock ABI version; 0 if Landlock is missing or turned off."""
    version: int = ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _VERSION)
    return max(version, 0)


def _handled(abi: int) -> Right:
    return _EVERY if abi >= 5 else _EVERY & ~Right.IOCTL_DEV
