"""Repositories in a workspace, with all else in which git would find something to execute, or hide it."""

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

from server.errors import RemitError
from server.runner.filesystem.safe_open import read_beneath
from server.runner.filesystem.walk import FolderListing, ScanBudget, is_folder, walked
from server.runner.scanning.fifos import pipes_in
from server.runner.scanning.places import SensitivePath

_OBJECTS = re.compile("[0-9a-f]{2}|pack|info")  # folders in which git keeps objects
_TELLING = frozenset({".git", "config", "HEAD", "objects", "refs", "commondir"})

_READ_ANYWHERE = {".gitignore", ".gitattributes", ".gitmodules", ".mailmap"}
"""What git reads in folders of working files."""

_GITDIR_BYTES = 8192  # of a file `.git`: twice the longest path


def find_places(
    workspace: Path, budget: ScanBudget | None = None, hides: Callable[[Path], bool] = lambda _: False
) -> Iterator[SensitivePath]:
    """Look for all that is to be protected in the workspace, the outer places first. Blocks.

    `hides` says of a link whether it leads to where nobody looks: it is a place of its own then.
    """
    budget = budget or ScanBudget()
    budget.renew()
    inner = _Inner()
    for listing in _listings(workspace, inner.of, budget):
        if listing.is_closed:
            yield SensitivePath("closed", Path(listing.folder))
        if is_repository(listing.names):
            yield from _gits(Path(listing.folder), workspace, budget)
        if ".git" in listing.names:
            yield from named_git(Path(listing.folder), workspace, budget)
        yield from (SensitivePath("pipe", path) for path in pipes_in(listing, _READ_ANYWHERE))
        links = map(Path(listing.folder).joinpath, listing.links[: max(budget.links, 0)])
        yield from (SensitivePath("link", path) for path in links if hides(path))
        budget.links -= len(listing.links)
        if not listing.is_whole:
            yield SensitivePath("beyond", Path(listing.folder))
    if budget.is_spent:
        yield SensitivePath("beyond", workspace)


def is_cut(places: Iterable[SensitivePath]) -> bool:
    """Whether some of these places say that not all was looked at."""
    return any(place.kind == "beyond" for place in places)


class _Inner:
    """The folders to go on with, in which a person may work: all but git's own and those of its objects.

    A command can make any folder of the person's look like a bare repository, so one is looked into as others are.
    """

    def __init__(self) -> None:
        self._objects: set[str] = set()

    def of(self, listing: FolderListing) -> set[str]:
        if is_repository(listing.names):
            self._objects.add(f"{listing.folder}/objects")
        if listing.folder in self._objects:
            return {name for name in listing.folders if not _OBJECTS.fullmatch(name)} - {".git"}
        return listing.folders - {".git"}


def named_git(folder: Path, workspace: Path, budget: ScanBudget) -> Iterator[SensitivePath]:
    """What the name `.git` in a folder stands for."""
    git = folder / ".git"
    if _is_plain(git):
        yield SensitivePath("tree", folder)
        yield from _gits(git, workspace, budget)
    elif os.path.islink(git):
        yield SensitivePath("link", git)


def _gits(git: Path, workspace: Path, budget: ScanBudget) -> Iterator[SensitivePath]:
    for repository in _git_folders(git, workspace, budget):
        if not os.access(repository, os.X_OK):
            yield SensitivePath("closed", repository)
        yield SensitivePath("git", repository)


def is_repository(names: set[str]) -> bool:
    """Whether git takes a folder with these names for a repository, as a bare one or one with its files elsewhere."""
    return "HEAD" in names and ("commondir" in names or {"objects", "refs"} <= names)


def _git_folders(git: Path, workspace: Path, budget: ScanBudget) -> Iterator[Path]:
    """The repository of a worktree, with those of its submodules and of its other worktrees."""
    top = git if os.path.isdir(git) else named_by(git, workspace)
    if top is None:
        return
    yield top
    # What tells a repository of a submodule is its `config`: that one is protected, so no command can take it away.
    modules = top / "modules"
    for listing in _listings(modules, _modules, budget):
        if listing.is_closed or "config" in listing.names:
            yield Path(listing.folder)
    worktrees = str(top / "worktrees")
    kept = _listings(Path(worktrees), lambda listing: listing.folders if listing.folder == worktrees else set(), budget)
    for listing in kept:
        if listing.is_closed or listing.folder != worktrees:
            yield Path(listing.folder)


def _modules(listing: FolderListing) -> set[str]:
    return listing.folders & {"modules"} if "config" in listing.names else listing.folders


def _listings(top: Path, below: Callable[[FolderListing], set[str]], budget: ScanBudget) -> Iterator[FolderListing]:
    """A walk that tells of names which tell a repository, also where they are listed last, or spelt otherwise.

    Some file systems know a name by other letters: `.GIT`, or with characters that they ignore.
    """
    for listing in walked(top, below, budget, _TELLING):
        folder, names = listing.folder, listing.names
        if any(name not in names and os.path.lexists(f"{folder}/{name}") for name in (".git", "HEAD")):
            listing.names = {name for name in _TELLING if os.path.lexists(f"{folder}/{name}")}
        yield listing


def named_by(git: Path, workspace: Path) -> Path | None:
    """The repository that a file `.git` names, if it lies in the workspace, where a command could write to it."""
    try:
        content = read_beneath(workspace, str(git.relative_to(workspace)), limit=_GITDIR_BYTES)
    except (RemitError, OSError):
        return None
    named = re.match(rb"gitdir: (.+?)\n*\Z", content)
    folder = Path(os.path.normpath(git.parent / os.fsdecode(named[1]))) if named else workspace
    between = [path for path in (folder, *folder.parents) if path.is_relative_to(workspace) and path != workspace]
    return folder if between and all(map(is_folder, between)) else None


def is_within_git(folder: Path) -> bool:
    """Whether a folder, named relative to a workspace, lies within git's own, where is not looked for more."""
    parts = folder.parts
    return ".git" in parts or any(a == "objects" and _OBJECTS.fullmatch(b) for a, b in pairwise(parts))


def _is_plain(path: Path) -> bool:
    """Whether it is a folder or a regular file, itself and not by a link."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISDIR(mode) or stat.S_ISREG(mode)
