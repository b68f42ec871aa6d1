"""Unix sockets and FIFOs in folders of the person's: somebody outside is there, whatever network a command has."""

import os
import socket
import stat
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from server.runner.folder import leads_to, open_folder, pinned
from server.runner.walk import Budget, walked

MOST_SOCKETS = 64
"""That are covered: each is one mount more, some 0.1 ms."""


def find_sockets(
    folders: Iterable[Path], read_only: Collection[Path] = (), first: Iterable[Path] = ()
) -> tuple[Path, ...]:
    """Find the sockets at or beneath these folders that a process listens on, or may listen on. Blocks.

    One that nobody is bound to any more cannot come to life again. In those of the folders that are `read_only`, where
    no command has made one for itself, FIFOs are found, too. Links are not followed. Those of `first` that are still
    there come before all others: what is made since cannot push them out of the limits.
    """
    known = (path for path in first if leads_to(path, path) and _is_alive(path))
    found = (
        path
        for folder in dict.fromkeys(folders)
        for path in _special(folder)
        if _is_alive(path) or (folder in read_only and path.is_fifo())
    )
    return tuple(islice(dict.fromkeys(chain(known, found)), MOST_SOCKETS))


def _special(top: Path) -> Iterator[Path]:
    """What is neither a regular file nor a folder nor a link."""
    for listing in walked(top, lambda listing: listing.folders, Budget()):
        yield from map(Path(listing.folder).joinpath, listing.others)


def _is_alive(path: Path) -> bool:
    """Whether it is a socket that somebody is bound to.

    A datagram socket cannot connect to one of another kind, but is told of nobody by another error; where it can, that
    sends nothing.
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
