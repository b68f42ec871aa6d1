"""A breadth-first walk through the folders of a workspace, with limits, as a command may make any number of them."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

MOST_FOLDERS = 2000  # listed in one walk: about 30 ms
MOST_NAMES = 100_000  # read in each folder: about 100 ms; a file system may hold millions
MOST_NAMES_IN_ALL = 1_000_000  # about a second; a large project with its packages has a tenth of it
MOST_LINKS = 20_000  # symlinks resolved: about a second if all are new
MOST_GITLINKS = 2000  # gitlinks followed: ten times as many as the largest projects have


@dataclass(slots=True)
class ScanBudget:
    """The remaining limits of a scan: folders for one walk, all else for every walk that shares this budget."""

    folders: int = field(default_factory=lambda: MOST_FOLDERS)
    names: int = field(default_factory=lambda: MOST_NAMES_IN_ALL)
    links: int = field(default_factory=lambda: MOST_LINKS)
    gitlinks: int = field(default_factory=lambda: MOST_GITLINKS)

    def renew(self) -> None:
        """Reset the number of folders, for another walk."""
        self.folders = MOST_FOLDERS

    def take(self) -> bool:
        """Count a folder to be listed; return whether the limits allow it."""
        self.folders -= 1
        return self.folders >= 0 and self.names > 0

    @property
    def is_spent(self) -> bool:
        """Whether something was skipped because a limit was reached."""
        return self.folders < 0 or self.names <= 0 or self.links < 0


@dataclass(slots=True)
class FolderListing:
    """The listing of a folder, by kind of entry."""

    folder: str
    names: set[str] = field(default_factory=set)
    """The requested names that exist."""

    folders: set[str] = field(default_factory=set)
    """Names of sub-folders."""

    links: list[str] = field(default_factory=list)
    """Names of symlinks."""

    others: list[str] = field(default_factory=list)
    """Names of all other entries but regular files: sockets, FIFOs, devices."""

    is_whole: bool = True
    """Whether the folder was read to its end: it has fewer than MOST_NAMES names."""

    is_closed: bool = False
    """Whether the folder may not be listed or entered."""


def walked(
    top: Path, below: Callable[[FolderListing], set[str]], budget: ScanBudget, asked: frozenset[str] = frozenset()
) -> Iterator[FolderListing]:
    """Yield the listings of folders from `top` down, breadth-first; symlinks are not followed. Blocks.

    `below` returns the sub-folders of a listing to visit. Each listed folder is counted in `budget`. Folders are
    strings, as joining `Path`s takes as long as listing a folder. `asked` are the names to report in `names`.
    """
    ahead = deque([str(top)] if is_folder(top) else [])
    while ahead and budget.take():
        folder = ahead.popleft()
        try:
            listing = _listed(folder, budget, asked)
        except PermissionError:
            yield FolderListing(folder, is_closed=True)
        except OSError:
            pass  # removed meanwhile, or a path longer than any tool could use
        else:
            yield listing
            ahead += (f"{folder}/{name}" for name in sorted(below(listing)))


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder and no symlink to one; False if it cannot be reached."""
    return os.path.isdir(path) and not os.path.islink(path)


def _listed(folder: str, budget: ScanBudget, asked: frozenset[str]) -> FolderListing:
    """List the first MOST_NAMES entries of a folder. Raises PermissionError if it may not be listed or entered."""
    if not os.access(folder, os.X_OK):
        raise PermissionError
    with os.scandir(folder) as listing:
        entries = list(islice(listing, MOST_NAMES))
    budget.names -= len(entries)
    names = {each.name for each in entries if each.name in asked}
    special = [each for each in entries if not each.is_file(follow_symlinks=False)]
    folders = {each.name for each in special if each.is_dir(follow_symlinks=False)}
    links = [each.name for each in special if each.is_symlink()]
    others = [each.name for each in special if each.name not in folders and not each.is_symlink()]
    return FolderListing(folder, names, folders, links, others, is_whole=len(entries) < MOST_NAMES)
