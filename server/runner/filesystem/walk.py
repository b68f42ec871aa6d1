"""A walk through the folders of a workspace, the outer ones first: bounded, as a command may make any number."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

MOST_FOLDERS = 2000  # that one walk looks into: some 30 ms
MOST_NAMES = 100_000  # that are looked at in each: some 100 ms; a file system may hold millions
MOST_NAMES_IN_ALL = 1_000_000  # some second; a large project with its packages has a tenth of it
MOST_LINKS = 20_000  # that are followed; some second, if all are new
MOST_GITLINKS = 2000  # that are followed; of those that the largest projects have, ten times as many


@dataclass(slots=True)
class ScanBudget:
    """How much is still looked at of a workspace: in one walk, and of names in all walks that share it."""

    folders: int = field(default_factory=lambda: MOST_FOLDERS)
    names: int = field(default_factory=lambda: MOST_NAMES_IN_ALL)
    links: int = field(default_factory=lambda: MOST_LINKS)
    gitlinks: int = field(default_factory=lambda: MOST_GITLINKS)

    def renew(self) -> None:
        """Begin another walk."""
        self.folders = MOST_FOLDERS

    def take(self) -> bool:
        """Whether one folder more may be looked into."""
        self.folders -= 1
        return self.folders >= 0 and self.names > 0

    @property
    def is_spent(self) -> bool:
        """Whether something was not looked at, since enough was."""
        return self.folders < 0 or self.names <= 0 or self.links < 0


@dataclass(slots=True)
class FolderListing:
    """A folder with what is in it."""

    folder: str
    names: set[str] = field(default_factory=set)
    """Those that are there of the names that were asked for."""

    folders: set[str] = field(default_factory=set)
    """The names of folders."""

    links: list[str] = field(default_factory=list)
    """The names of links."""

    others: list[str] = field(default_factory=list)
    """The names of what is neither a folder nor a regular file nor a link."""

    is_whole: bool = True
    """Whether no more names are there than are looked at."""

    is_closed: bool = False


def walked(
    top: Path, below: Callable[[FolderListing], set[str]], budget: ScanBudget, asked: frozenset[str] = frozenset()
) -> Iterator[FolderListing]:
    """Folders from `top` down, the outer ones first; links are not followed. Blocks.

    `below` tells which folders in one to go on with; each takes one of the `budget`. They are no `Path`s: to join those
    takes as long as to list a folder.
    """
    ahead = deque([str(top)] if is_folder(top) else [])
    while ahead and budget.take():
        folder = ahead.popleft()
        try:
            listing = _listed(folder, budget, asked)
        except PermissionError:
            yield FolderListing(folder, is_closed=True)
        except OSError:
            pass  # nothing there, or a path longer than any tool could use
        else:
            yield listing
            ahead += (f"{folder}/{name}" for name in sorted(below(listing)))


def is_folder(path: Path) -> bool:
    """Whether it is a folder itself, and no link to one; not, where it cannot be reached."""
    return os.path.isdir(path) and not os.path.islink(path)


def _listed(folder: str, budget: ScanBudget, asked: frozenset[str]) -> FolderListing:
    """The first names in a folder. Raises PermissionError for one that may not be listed, or entered."""
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
