"""FIFOs and devices in places where git expects a file: reading one would block or never end."""

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from server.runner.filesystem.walk import FolderListing, ScanBudget, walked
from server.runner.scanning.places import SensitivePath

MOST_FOLDERS = 20_000
"""Folders inside `.git` listed, of all repositories together: about 300 ms. A common repository has 300."""

_ELSEWHERE = {"modules", "worktrees"}
"""Folders with other repositories' files, each of which is searched as a repository of its own."""

_NOT_READ = {"lfs"}
"""Folders that git itself does not read, and that may have very many sub-folders."""


def find_pipes(gits: Iterable[Path]) -> Iterator[SensitivePath]:
    """Yield the FIFOs and devices in the git folders `gits`, outer ones first. Blocks.

    If the limit is reached, the last one yielded is of the kind `unread`.
    """
    budget = ScanBudget(folders=MOST_FOLDERS)
    for git in sorted(gits, key=lambda git: len(git.parts)):
        yield from (SensitivePath("pipe", path) for listing in _of_git(git, budget) for path in pipes_in(listing))
        if budget.is_spent:
            yield SensitivePath("unread", git)
            return


def _of_git(git: Path, budget: ScanBudget) -> Iterator[FolderListing]:
    without = _ELSEWHERE | _NOT_READ
    return walked(git, lambda at: at.folders - without if at.folder == str(git) else at.folders, budget)


def pipes_in(listing: FolderListing, names: Collection[str] | None = None) -> Iterator[Path]:
    """Yield the FIFOs and devices in one folder, symlinks to some included; only those in `names`, if given."""
    for name in (*listing.others, *listing.links):
        if (names is None or name in names) and _has_no_end(path := Path(listing.folder, name)):
            yield path


def _has_no_end(path: Path) -> bool:
    """Return whether a path is a FIFO or a device. Sockets do not count, as they cannot be opened."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
