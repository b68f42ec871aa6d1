"""FIFOs and devices where git expects a file: it would wait for what nobody writes, or read without end."""

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from server.runner.filesystem.walk import FolderListing, ScanBudget, walked
from server.runner.scanning.places import SensitivePath

MOST_FOLDERS = 20_000
"""Folders of git's own that are looked into, of all repositories together: some 300 ms; a common one has 300."""

_ELSEWHERE = {"modules", "worktrees"}
"""Folders of git's own with others in them, which are looked into by themselves."""

_NOT_READ = {"lfs"}
"""That git itself does not read; there may be very many folders in it."""


def find_pipes(gits: Iterable[Path]) -> Iterator[SensitivePath]:
    """Look for them in git's own folders, the outer ones first. Blocks."""
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
    """Those in one folder, by their own names or by links; all of them, or those that have one of these names."""
    for name in (*listing.others, *listing.links):
        if (names is None or name in names) and _has_no_end(path := Path(listing.folder, name)):
            yield path


def _has_no_end(path: Path) -> bool:
    """Sockets have none either, but cannot be opened."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
