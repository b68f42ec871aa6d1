"""Unix sockets and FIFOs in users' folders: they lead to programs outside, whatever network a command has."""

import os
import socket
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from server.errors import Code, RemitError
from server.runner.filesystem.safe_open import leads_to, open_folder, pinned
from server.runner.filesystem.walk import MOST_FOLDERS, ScanBudget, walked

MOST_SOCKETS = 128
"""Sockets that are covered, and as many FIFOs: each needs a mount, about 0.1 ms."""

MOST_SPECIAL = 10_000
"""Sockets, FIFOs and devices examined in one folder: about half a second."""

NOT_COVERED = (
    f"the folder, or the repository that it borrows from, has more than {MOST_FOLDERS:,} folders, or very many names: "
    "unix sockets and FIFOs behind these were not kept from the command"
)


@dataclass(frozen=True, slots=True)
class FoundSockets:
    """The sockets and FIFOs to cover."""

    paths: tuple[Path, ...]
    is_whole: bool
    """Whether the folders were searched completely."""


def find_sockets(folders: Iterable[Path], read_only: Collection[Path] = (), first: Iterable[Path] = ()) -> FoundSockets:
    """Find the sockets at or beneath these folders that a process is bound to. Blocks.

    A socket without a bound process cannot be used again, and is skipped. In the `read_only` ones of the folders, where
    no command can have made its own, FIFOs are found, too. Symlinks are not followed. Sockets of `first` that still
    exist are found however many folders were made since.

    Raises RemitError (SANDBOX_UNAVAILABLE) for more than MOST_SOCKETS sockets: another task may have made them, so
    that one of the user's is left uncovered.
    """
    sockets = dict.fromkeys(path for path in first if leads_to(path, path) and _is_alive(path))
    pipes: dict[Path, None] = {}
    is_whole = True
    for folder in dict.fromkeys(folders):
        budget = ScanBudget()
        special = list(islice(_special(folder, budget), MOST_SPECIAL))
        sockets |= dict.fromkeys(filter(_is_alive, special))
        pipes |= dict.fromkeys(path for path in special if folder in read_only and _is_fifo(path))
        is_whole &= not budget.is_spent and len(special) < MOST_SPECIAL
    if len(sockets) > MOST_SOCKETS:
        raise _too_many(next(iter(sockets)).parent)
    return FoundSockets((*sockets, *islice(pipes, MOST_SOCKETS)), is_whole and len(pipes) <= MOST_SOCKETS)


def _is_fifo(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.lstat().st_mode)
    except OSError:
        return False


def _too_many(folder: Path) -> RemitError:
    return RemitError(
        Code.SANDBOX_UNAVAILABLE,
        f"programs listen on more than {MOST_SOCKETS} unix sockets in the folder of the task, as in {folder}: so many "
        "are not kept from a command; end some of these programs, or give the task a folder beneath",
    )


def _special(top: Path, budget: ScanBudget) -> Iterator[Path]:
    """Yield the sockets, FIFOs and devices at or beneath a folder."""
    for listing in walked(top, lambda listing: listing.folders, budget):
        yield from map(Path(listing.folder).joinpath, listing.others)


def _is_alive(path: Path) -> bool:
    """Return whether a path is a socket that a process is bound to.

    Tests it by connecting a datagram socket, which sends nothing. If the other is a stream socket, the error tells
    whether a process is bound to it.
    """
    try:
        folder = open_folder(path.parent)
    except OSError:
        return False
    try:
        with pinned(path.name, folder) as (name, status), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
            if not stat.S_ISSOCK(status.st_mode):
                return False
            caller.connect(name)
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    except OSError:
        return True
    finally:
        os.close(folder)
    return True
