"""Landlock: what may be read and written by path, which the kernel holds without any namespace.

The rights and the ABI that brought each are in linux/landlock.h.
"""

import ctypes
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

OLDEST_ABI = 3
"""Linux 6.2. Before it, files outside could be emptied: truncating was not among the rights."""

NETWORK_ABI = 4
"""Linux 6.7, the first that knows the ports of TCP."""

SCOPES_ABI = 6
"""Linux 6.12, the first that keeps signals and abstract sockets within the domain."""

_CREATE_RULESET, _VERSION = 444, 1  # landlock_create_ruleset(2), and its flag that asks for the ABI


class Right(IntFlag):
    """LANDLOCK_ACCESS_FS_*."""

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
    """What a domain handles, all of which is denied, and what it grants beneath each path and on each port."""

    abi: int
    grants: tuple[tuple[Path, Right], ...]
    ports: tuple[int, ...] | None
    """The ports it may connect to over TCP; None where that stays open."""

    def records(self) -> Iterator[tuple[str, str]]:
        """The launcher's records: what is handled, then the grants."""
        handled = _handled(self.abi)
        network = _EVERY_NETWORK_RIGHT if self.abi >= NETWORK_ABI and self.ports is not None else 0
        scopes = _EVERY_SCOPE if self.abi >= SCOPES_ABI else 0
        yield "ruleset", f"{int(handled)} {network} {scopes}"
        for path, rights in self.grants:
            yield "rule", f"{int(rights & handled)} {path}"
        for port in self.ports or ():
            yield "port", f"{_CONNECT_TCP} {port}"


def ruleset(abi: int, granted: tuple[tuple[Path, Right], ...], *, ports: tuple[int, ...] | None) -> Ruleset | None:
    """A ruleset for this kernel; None where its Landlock is too old to be relied upon."""
    return Ruleset(abi, granted, ports) if abi >= OLDEST_ABI else None


def grants(*, read: Iterable[Path], write: Iterable[Path], use: Iterable[Path]) -> tuple[tuple[Path, Right], ...]:
    """Spell out what each path is for: `read` and execute, `write` as well, or `use` as devices."""
    purposes = ((_READ, read), (_WRITE, write), (_USE, use))
    return tuple((path, rights) for rights, paths in purposes for path in paths)


def abi() -> int:
    """The kernel's Landlock ABI; 0 where it has none, or has it turned off."""
    version: int = ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _VERSION)
    return max(version, 0)


def _handled(abi: int) -> Right:
    return _EVERY if abi >= 5 else _EVERY & ~Right.IOCTL_DEV
