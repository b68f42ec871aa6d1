"""What other tools would execute or obey: files of a repository that a command must not write.

Git runs hooks and what its settings name; direnv, editors, assistants and shells read the rest when a person next works
in the folder.
"""

import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Literal

from server.errors import RemitError
from server.runner import gitconfig
from server.runner.folder import leads_to, read_beneath, read_regular

MOST_FOLDERS = 2000  # that are looked into for repositories, git's own among them, the outer ones first: some 30 ms
MOST_NAMES = 100_000  # that are looked at in each: some 100 ms; a file system may hold millions
MOST_NAMES_IN_ALL = 1_000_000  # some second; a large project with its packages has a tenth of it
MOST_LINKS = 20_000  # that are followed; some second, if all are new
MOST_REPOSITORIES = 16  # each takes about 35 mounts, which is some 3 ms at the start of every command

OF_GIT = ("hooks", "config", "config.worktree", "commondir")
ALTERNATES = "objects/info/alternates"
"""What it names is shown to whoever gets a worktree of the repository."""
BESIDE_GIT = (
    ".envrc",
    ".mcp.json",
    ".vscode",
    ".idea",
    ".zed",
    ".cursor",
    ".windsurf",
    ".claude",
    ".codex",
    ".gemini",
    ".opencode",
    ".agents",
    ".devcontainer",
    ".husky",
    ".gitconfig",
    ".ripgreprc",
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".zlogin",
)
"""What tools of today execute or obey and no task has to write: closed."""
TOLD = (
    "Makefile",
    "package.json",
    ".npmrc",
    ".yarnrc.yml",
    "mise.toml",
    "CLAUDE.md",
    "AGENTS.md",
    ".exrc",
    ".nvim.lua",
    ".vimrc",
    ".gdbinit",
    ".lldbinit",
    ".inputrc",
)
"""What tools execute or obey and is part of a project's work, or takes the person's leave: told as a gap."""
_KEPT_IF_THERE = (
    ".gitmodules",  # git itself executes nothing it finds there
    "opencode.json",  # a stand-in for it would be in every listing of the folder
)

_OBJECTS = re.compile("[0-9a-f]{2}|pack|info")  # folders in which git keeps objects
_TELLING = frozenset({".git", "config", "HEAD", "objects", "refs", "commondir"})

_GITDIR_BYTES = 8192  # of a file `.git`: twice the longest path


Kind = Literal["closed", "tree", "git", "link", "beyond", "socket"]
"""A folder that its user may not list or add to, the working files of a repository, git's own, a link `.git` or one to
where nobody looks, a folder of which not all was looked at, as there is too much; or a socket of another program."""


@dataclass(frozen=True, slots=True)
class Protected:
    """The paths that are to be read-only: those that are there, and those that are not, which must not appear."""

    present: tuple[Path, ...]
    missing: tuple[Path, ...]
    places: frozenset["Place"] = frozenset()
    """The repositories that they belong to."""

    found: tuple["Place", ...] = ()
    """All that was found, those beyond the limit too."""


@dataclass(frozen=True, slots=True)
class Place:
    """Something in a workspace that is to be protected."""

    kind: Kind
    path: Path


@dataclass(slots=True)
class _Listing:
    """A folder with what is in it."""

    folder: str
    names: set[str] = field(default_factory=set)
    """Those that are there of the names that tell a repository."""

    folders: set[str] = field(default_factory=set)
    """The names of folders."""

    links: list[str] = field(default_factory=list)
    """The names of links."""

    is_whole: bool = True
    """Whether no more names are there than are looked at."""

    is_closed: bool = False


@dataclass(slots=True)
class Budget:
    """How much is still looked at of a workspace: in one look, and of names in all looks that share it."""

    folders: int = field(default_factory=lambda: MOST_FOLDERS)
    names: int = field(default_factory=lambda: MOST_NAMES_IN_ALL)
    links: int = field(default_factory=lambda: MOST_LINKS)

    def take(self) -> bool:
        """Whether one folder more may be looked into."""
        self.folders -= 1
        return self.folders >= 0 and self.names > 0


def find_protected(workspace: Path, at_top: bool = False, first: Iterable[Place] = ()) -> Protected:
    """Look for repositories in the workspace, itself included, and for what is to be protected in each.

    A symlink is passed over, with what lies beyond it: mounting its target would let a command choose what it sees.
    A folder that its own user may not list or add to is protected as a whole, since a command could open it again.
    With `at_top`, what lies beside a repository is protected in the workspace itself, whether that is one or not.
    The places `first` come before all that is found now: what is made since cannot push them out of the limit.
    """
    found = tuple(dict.fromkeys(find_places(workspace)))
    places = list(dict.fromkeys((*filter(_is_there, first), *_first(found))))[:MOST_REPOSITORIES]
    top = _beside(workspace / ".git") if at_top and _is_open(workspace) else ()
    paths = dict.fromkeys((*top, *(path for place in places for path in _protected_in(place, workspace))))
    present = tuple(path for path in paths if os.path.lexists(path) and not path.is_symlink())
    return Protected(present, tuple(path for path in paths if not os.path.lexists(path)), frozenset(places), found)


def find_first(workspace: Path) -> list[Place]:
    """Look for as many places as can be protected, the outer ones first. Blocks."""
    return _first(dict.fromkeys(find_places(workspace)))


def _first(found: Iterable[Place]) -> list[Place]:
    return list(islice((place for place in found if place.kind not in ("link", "beyond")), MOST_REPOSITORIES))


def find_places(
    workspace: Path, budget: Budget | None = None, hides: Callable[[Path], bool] = lambda _: False
) -> Iterator[Place]:
    """Look for all that is to be protected in the workspace, the outer places first. Blocks.

    `hides` says of a link whether it leads to where nobody looks: it is a place of its own then.
    """
    budget = budget or Budget()
    budget.folders = MOST_FOLDERS
    inner = _Inner()
    for listing in _folders(workspace, inner.of, budget):
        if listing.is_closed:
            yield Place("closed", Path(listing.folder))
        if is_repository(listing.names):
            repositories = _git_folders(Path(listing.folder), workspace, budget)
            yield from (Place("git", repository) for repository in repositories)
        if ".git" in listing.names:
            yield from _named_git(Path(listing.folder), workspace, budget)
        links = map(Path(listing.folder).joinpath, listing.links[: max(budget.links, 0)])
        yield from (Place("link", path) for path in links if hides(path))
        budget.links -= len(listing.links)
        if not listing.is_whole:
            yield Place("beyond", Path(listing.folder))
    if not budget.take() or budget.links < 0:
        yield Place("beyond", workspace)


class _Inner:
    """The folders to go on with, in which a person may work: all but git's own and those of its objects.

    A command can make any folder of the person's look like a bare repository, so one is looked into as others are.
    """

    def __init__(self) -> None:
        self._objects: set[str] = set()

    def of(self, listing: _Listing) -> set[str]:
        if is_repository(listing.names):
            self._objects.add(f"{listing.folder}/objects")
        if listing.folder in self._objects:
            return {name for name in listing.folders if not _OBJECTS.fullmatch(name)} - {".git"}
        return listing.folders - {".git"}


def _named_git(folder: Path, workspace: Path, budget: Budget) -> Iterator[Place]:
    """What the name `.git` in a folder stands for."""
    git = folder / ".git"
    if _is_plain(git):
        yield Place("tree", folder)
        yield from (Place("git", repository) for repository in _git_folders(git, workspace, budget))
    elif git.is_symlink():
        yield Place("link", git)


def is_repository(names: set[str]) -> bool:
    """Whether git takes a folder with these names for a repository, as a bare one or one with its files elsewhere."""
    return "HEAD" in names and ("commondir" in names or {"objects", "refs"} <= names)


def _is_there(place: Place) -> bool:
    """Whether the place is still what it was, reached through no link."""
    return leads_to(place.path, place.path) and place.path.is_dir()


def _protected_in(place: Place, workspace: Path) -> Iterator[Path]:
    if place.kind == "closed" or not _is_open(place.path):
        yield place.path
    elif place.kind == "tree":
        yield from _beside(place.path / ".git")
        yield from _hooks_of(place.path, workspace)
    else:
        yield from _of_git(place.path)


def _beside(git: Path) -> Iterator[Path]:
    if not git.is_dir():
        yield git  # a file that names the repository, and could name another
    yield from filter(Path.exists, map(git.with_name, _KEPT_IF_THERE))
    yield from map(git.with_name, BESIDE_GIT)


def _hooks_of(tree: Path, workspace: Path) -> Iterator[Path]:
    """The folder among the working files in which the settings of their repository have git look for hooks."""
    git = tree / ".git" if (tree / ".git").is_dir() else named_by(tree / ".git", workspace)
    if git and git.parent.name == "worktrees" and (git / "commondir").is_file():
        git = git.parent.parent
    try:
        named = git and gitconfig.hooks_path(read_regular(git, "config", limit=gitconfig.MOST_BYTES))
        folder = tree / (named or ".")
        if tree in folder.parents and folder.parent.resolve() == folder.parent and folder.parent.is_dir():
            yield folder
    except (RemitError, OSError, RuntimeError):
        pass


def _of_git(repository: Path) -> Iterator[Path]:
    yield from (repository / name for name in OF_GIT)
    alternates = repository / ALTERNATES
    info, objects = list(alternates.parents)[:2]
    if not _is_folder(objects):
        return  # as in what git keeps for a linked worktree
    closed = next((folder for folder in (objects, info) if _is_folder(folder) and not _is_open(folder)), None)
    if closed:
        yield closed
    elif not info.is_symlink():
        yield alternates


def _git_folders(git: Path, workspace: Path, budget: Budget) -> Iterator[Path]:
    """The repository of a worktree, with those of its submodules and of its other worktrees."""
    top = git if git.is_dir() else named_by(git, workspace)
    if top is None:
        return
    yield top
    # What tells a repository of a submodule is its `config`: that one is protected, so no command can take it away.
    modules = top / "modules"
    for listing in _folders(modules, _modules, budget):
        if listing.is_closed or "config" in listing.names:
            yield Path(listing.folder)
    worktrees = str(top / "worktrees")
    kept = _folders(Path(worktrees), lambda listing: listing.folders if listing.folder == worktrees else set(), budget)
    for listing in kept:
        if listing.is_closed or listing.folder != worktrees:
            yield Path(listing.folder)


def _modules(listing: _Listing) -> set[str]:
    return listing.folders & {"modules"} if "config" in listing.names else listing.folders


def _folders(top: Path, below: Callable[[_Listing], set[str]], budget: Budget) -> Iterator[_Listing]:
    """Folders from `top` down, the outer ones first.

    `below` tells which folders in one to go on with; each takes one of the `budget`. They are no `Path`s: to join those
    takes as long as to list a folder.
    """
    ahead = deque([str(top)] if _is_folder(top) else [])
    while ahead and budget.take():
        folder = ahead.popleft()
        try:
            listing = _listed(folder, budget)
        except PermissionError:
            yield _Listing(folder, is_closed=True)
        except OSError:
            pass  # nothing there, or a path longer than any tool could use
        else:
            yield listing
            ahead += (f"{folder}/{name}" for name in sorted(below(listing)))


def _listed(folder: str, budget: Budget) -> _Listing:
    """The first names in a folder; those that tell a repository also where they are listed last, or spelt otherwise.

    Some file systems know a name by other letters: `.GIT`, or with characters that they ignore.
    """
    with os.scandir(folder) as listing:
        entries = list(islice(listing, MOST_NAMES))
    budget.names -= len(entries)
    folders = {each.name for each in entries if each.is_dir(follow_symlinks=False)}
    names = {each.name for each in entries if each.name in _TELLING}
    if any(name not in names and os.path.lexists(f"{folder}/{name}") for name in (".git", "HEAD")):
        names = {name for name in _TELLING if os.path.lexists(f"{folder}/{name}")}
    links = [each.name for each in entries if each.is_symlink()]
    return _Listing(folder, names, folders, links, is_whole=len(entries) < MOST_NAMES)


def named_by(git: Path, workspace: Path) -> Path | None:
    """The repository that a file `.git` names, if it lies in the workspace, where a command could write to it."""
    try:
        content = read_beneath(workspace, str(git.relative_to(workspace)), limit=_GITDIR_BYTES)
    except (RemitError, OSError):
        return None
    named = re.match(rb"gitdir: (.+?)\n*\Z", content)
    folder = Path(os.path.normpath(git.parent / os.fsdecode(named[1]))) if named else workspace
    between = [path for path in (folder, *folder.parents) if path.is_relative_to(workspace) and path != workspace]
    return folder if between and all(map(_is_folder, between)) else None


def is_within_git(folder: Path) -> bool:
    """Whether a folder, named relative to a workspace, lies within git's own, where is not looked for more."""
    parts = folder.parts
    return ".git" in parts or any(a == "objects" and _OBJECTS.fullmatch(b) for a, b in pairwise(parts))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_plain(path: Path) -> bool:
    """Whether it is a folder or a regular file, itself and not by a link."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISDIR(mode) or stat.S_ISREG(mode)


def _is_open(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK)
