"""The search for repositories in a workspace, and for other paths that git would execute or that hide repositories."""

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

_OBJECTS = re.compile("[0-9a-f]{2}|pack|info")  # sub-folders of `objects`: gitrepository-layout(5)
_TELLING = frozenset({".git", "config", "HEAD", "objects", "refs", "commondir"})

_READ_ANYWHERE = {".gitignore", ".gitattributes", ".gitmodules", ".mailmap"}
"""Files that git reads in the folders of a working tree."""

_GITDIR_BYTES = 8192  # of a file `.git`: twice the longest path


def find_places(
    workspace: Path, budget: ScanBudget | None = None, hides: Callable[[Path], bool] = lambda _: False
) -> Iterator[SensitivePath]:
    """Yield the sensitive paths of a workspace, outer ones first. Blocks.

    `hides` tells whether a symlink leads to a folder that is not scanned: it is then yielded with the kind `link`.
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
    """Return whether one of these places says that the scan reached a limit."""
    return any(place.kind == "beyond" for place in places)


class _Inner:
    """The choice of sub-folders to scan: all but `.git` and the folders of git's objects.

    Bare repositories are scanned, too, since a command can make any folder look like one.
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
    """Yield the sensitive paths that a folder's entry `.git` stands for: a tree with its git folders, or a link."""
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
    """Return whether a folder with these names is a repository to git: a bare one, or one with a common directory."""
    return "HEAD" in names and ("commondir" in names or {"objects", "refs"} <= names)


def _git_folders(git: Path, workspace: Path, budget: ScanBudget) -> Iterator[Path]:
    """Yield the git folder of a working tree, and those of its submodules and its other worktrees."""
    top = git if os.path.isdir(git) else named_by(git, workspace)
    if top is None:
        return
    yield top
    # A submodule's git folder is recognized by its `config`, which is protected, so that no command can remove it.
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
    """Walk, and report the names that mark a repository even if they come late in a listing or are spelt differently.

    Some file systems ignore case (`.GIT`) or some characters.
    """
    for listing in walked(top, below, budget, _TELLING):
        folder, names = listing.folder, listing.names
        if any(name not in names and os.path.lexists(f"{folder}/{name}") for name in (".git", "HEAD")):
            listing.names = {name for name in _TELLING if os.path.lexists(f"{folder}/{name}")}
        yield listing


def named_by(git: Path, workspace: Path) -> Path | None:
    """Return the repository that a file `.git` names, if it is in the workspace, where a command can write."""
    try:
        content = read_beneath(workspace, str(git.relative_to(workspace)), limit=_GITDIR_BYTES)
    except (RemitError, OSError):
        return None
    named = re.match(rb"gitdir: (.+?)\n*\Z", content)
    folder = Path(os.path.normpath(git.parent / os.fsdecode(named[1]))) if named else workspace
    between = [path for path in (folder, *folder.parents) if path.is_relative_to(workspace) and path != workspace]
    return folder if between and all(map(is_folder, between)) else None


def is_within_git(folder: Path) -> bool:
    """Return whether a path relative to a workspace is inside a git folder, which is not scanned for repositories."""
    parts = folder.parts
    return ".git" in parts or any(a == "objects" and _OBJECTS.fullmatch(b) for a, b in pairwise(parts))


def _is_plain(path: Path) -> bool:
    """Return whether a path is a folder or a regular file, and no symlink."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISDIR(mode) or stat.S_ISREG(mode)
