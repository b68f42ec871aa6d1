"""What other tools would execute or obey: files of a repository that a command must not write.

Git runs hooks and what its settings name; direnv, editors, assistants and shells read the rest when a person next works
in the folder.
"""

import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from server.errors import RemitError
from server.runner.folder import read_beneath

MOST_FOLDERS = 2000  # that are looked into for repositories, git's own among them, the outer ones first: some 30 ms
MOST_NAMES = 100_000  # that are looked at in each: some 100 ms; a file system may hold millions
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

_TELLING = frozenset({".git", "config", "HEAD", "objects", "refs", "commondir"})

_GITDIR_BYTES = 8192  # of a file `.git`: twice the longest path


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

    kind: Literal["closed", "tree", "git", "link", "beyond"]
    """A folder that its user may not list or add to, the working files of a repository, git's own, a link `.git`, or
    the first folder that is not looked into, since there are too many."""

    path: Path


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
    paths = dict.fromkeys((*top, *(path for place in places for path in _protected_in(place))))
    present = tuple(path for path in paths if os.path.lexists(path) and not path.is_symlink())
    return Protected(present, tuple(path for path in paths if not os.path.lexists(path)), frozenset(places), found)


def find_first(workspace: Path) -> list[Place]:
    """Look for as many places as can be protected, the outer ones first. Blocks."""
    return _first(dict.fromkeys(find_places(workspace)))


def _first(found: Iterable[Place]) -> list[Place]:
    return list(islice((place for place in found if place.kind not in ("link", "beyond")), MOST_REPOSITORIES))


def find_places(workspace: Path) -> Iterator[Place]:
    """Look for all that is to be protected in the workspace, the outer places first. Blocks."""
    budget = iter(range(MOST_FOLDERS))
    for folder, names in _folders(workspace, _within, budget):
        if names is None:
            yield Place("closed", Path(folder))
            continue
        if is_repository(names):
            yield Place("git", Path(folder))
        if ".git" in names:
            yield from _named_git(Path(folder), workspace, budget)
    if next(budget, None) is None:
        yield Place("beyond", workspace)


def _named_git(folder: Path, workspace: Path, budget: Iterator[int]) -> Iterator[Place]:
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


def _within(_: str, names: set[str]) -> set[str]:
    return set() if is_repository(names) and ".git" not in names else names - {".git"}


def _is_there(place: Place) -> bool:
    """Whether the place is still what it was, reached through no link."""
    try:
        return place.path.resolve() == place.path and place.path.is_dir()
    except (OSError, RuntimeError):
        return False


def _protected_in(place: Place) -> Iterator[Path]:
    if place.kind == "closed" or not _is_open(place.path):
        yield place.path
    elif place.kind == "tree":
        yield from _beside(place.path / ".git")
    else:
        yield from _of_git(place.path)


def _beside(git: Path) -> Iterator[Path]:
    if not git.is_dir():
        yield git  # a file that names the repository, and could name another
    yield from filter(Path.exists, map(git.with_name, _KEPT_IF_THERE))
    yield from map(git.with_name, BESIDE_GIT)


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


def _git_folders(git: Path, workspace: Path, budget: Iterator[int]) -> Iterator[Path]:
    """The repository of a worktree, with those of its submodules and of its other worktrees."""
    top = git if git.is_dir() else named_by(git, workspace)
    if top is None:
        return
    yield top
    # What tells a repository of a submodule is its `config`: that one is protected, so no command can take it away.
    modules = top / "modules"
    for folder, names in _folders(modules, lambda _, names: {"modules"} if "config" in names else names, budget):
        if names is None or "config" in names:
            yield Path(folder)
    worktrees = str(top / "worktrees")
    kept = _folders(Path(worktrees), lambda folder, names: names if folder == worktrees else set(), budget)
    for folder, names in kept:
        if names is None or folder != worktrees:
            yield Path(folder)


def _folders(
    top: Path, below: Callable[[str, set[str]], set[str]], budget: Iterator[int]
) -> Iterator[tuple[str, set[str] | None]]:
    """Folders from `top` down, the outer ones first, with the names in each; None for one that is closed.

    `below` tells, by a folder and the names in it, which of them to go on with; each takes one of the `budget`. They
    are no `Path`s: to join those takes as long as to list a folder.
    """
    ahead = deque([str(top)] if _is_folder(top) else [])
    while ahead and next(budget, None) is not None:
        folder = ahead.popleft()
        try:
            telling, folders = _listed(folder)
        except PermissionError:
            yield folder, None
        except OSError:
            pass  # nothing there, or a path longer than any tool could use
        else:
            names = telling | folders
            yield folder, names
            ahead += (f"{folder}/{name}" for name in sorted(below(folder, names) & folders))


def _listed(folder: str) -> tuple[set[str], set[str]]:
    """The first names in a folder: those that tell a repository, and those that are folders."""
    with os.scandir(folder) as listing:
        entries = list(islice(listing, MOST_NAMES))
    folders = {each.name for each in entries if each.is_dir(follow_symlinks=False)}
    return {each.name for each in entries if each.name in _TELLING}, folders


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
