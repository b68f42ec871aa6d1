"""The protected files of a repository: other tools would execute or obey them, so a command must not write them.

Git runs hooks and programs that its configuration names. Direnv, editors, assistants and shells read the other files
when the user next works in the folder.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from server.errors import RemitError
from server.runner.filesystem.safe_open import leads_to, read_regular
from server.runner.filesystem.walk import ScanBudget, is_folder
from server.runner.git import configuration
from server.runner.scanning.gitlinks import find_linked
from server.runner.scanning.places import SensitivePath
from server.runner.scanning.repositories import find_places, is_cut, named_by

MOST_REPOSITORIES = 16  # each needs about 35 mounts, or 3 ms at the start of every command

OF_GIT = ("hooks", "config", "config.worktree", "commondir")
ALTERNATES = "objects/info/alternates"
"""The folders that it names become readable to tasks that get a worktree of the repository."""
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
"""Files that common tools execute or obey, and that no task needs to write: always protected."""
OTHER_SYSTEMS = {
    ".hg": ("hgrc", "hgrc-not-shared", "sharedpath"),
    ".sl": ("config", "sharedpath"),
    ".jj": ("workspace-config.toml", "repo/config.toml", "repo/store/git_target"),
}
"""Folders of other version control systems (Mercurial, Sapling, Jujutsu), with the files in each that name programs or
another repository. The files are protected, or the folder itself where it does not exist."""
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
    "_darcs",
    ".pijul",
)
"""Files that tools execute or obey, but that tasks need to write or for which tools ask first. They are not protected,
but named in `gaps`."""
_KEPT_IF_THERE = (
    ".gitmodules",  # git itself executes nothing it finds there
    "opencode.json",  # a placeholder for it would be in every listing of the folder
)


@dataclass(frozen=True, slots=True)
class Protected:
    """The paths to mount read-only: existing ones, and missing ones, which a command must not create."""

    present: tuple[Path, ...]
    missing: tuple[Path, ...]
    places: frozenset[SensitivePath] = frozenset()
    """The repositories and folders that they belong to."""

    found: tuple[SensitivePath, ...] = ()
    """All sensitive paths that were found, those beyond the limit included."""


def find_protected(workspace: Path, at_top: bool = False, first: Iterable[SensitivePath] = ()) -> Protected:
    """Find the repositories in a workspace, itself included, and the paths to protect in each. Blocks.

    Symlinks are skipped: mounting their targets would let a command choose what it sees. A folder that its own user may
    not list or write to is protected as a whole, since a command could change its mode. With `at_top`, the files of
    BESIDE_GIT are protected in the workspace itself even if it is no repository. The paths `first` come before all that
    is found now, so that repositories made since cannot push them beyond the limit.
    """
    found = _found(workspace)
    places = list(dict.fromkeys((*filter(_is_there, first), *_first(found))))[:MOST_REPOSITORIES]
    top = _beside(workspace / ".git") if at_top and _is_open(workspace) else ()
    paths = dict.fromkeys((*top, *(path for place in places for path in _protected_in(place, workspace))))
    present = tuple(path for path in paths if os.path.lexists(path) and not os.path.islink(path))
    return Protected(present, tuple(path for path in paths if not os.path.lexists(path)), frozenset(places), found)


def find_first(workspace: Path) -> list[SensitivePath]:
    """Return the first places that can be protected, outer ones first, at most MOST_REPOSITORIES. Blocks."""
    return _first(_found(workspace))


def _found(workspace: Path) -> tuple[SensitivePath, ...]:
    """Return all places; if the scan was cut by a limit, also the repositories that indexes name, last."""
    budget = ScanBudget()
    found = dict.fromkeys(find_places(workspace, budget))
    linked = find_linked(workspace, tuple(found), budget) if is_cut(found) else ()
    return tuple(dict.fromkeys((*found, *linked)))


def _first(found: Iterable[SensitivePath]) -> list[SensitivePath]:
    return list(islice((place for place in found if place.kind in ("closed", "tree", "git")), MOST_REPOSITORIES))


def _is_there(place: SensitivePath) -> bool:
    """Return whether the place is still a folder without a symlink on the path."""
    return leads_to(place.path, place.path) and os.path.isdir(place.path)


def _protected_in(place: SensitivePath, workspace: Path) -> Iterator[Path]:
    if place.kind == "closed" or not _is_open(place.path):
        yield place.path
    elif place.kind == "tree":
        yield from _beside(place.path / ".git")
        yield from _hooks_of(place.path, workspace)
    else:
        yield from _of_git(place.path)


def _beside(git: Path) -> Iterator[Path]:
    if not os.path.isdir(git):
        yield git  # a file that names the repository, and could name another
    yield from filter(os.path.exists, map(git.with_name, _KEPT_IF_THERE))
    yield from map(git.with_name, BESIDE_GIT)
    for name, files in OTHER_SYSTEMS.items():
        yield from (_first_missing(git.with_name(name), file) for file in files)


def _first_missing(folder: Path, name: str) -> Path:
    """Return a file in a folder, or the first folder on its path that is missing or closed."""
    way = [folder, *(folder / above for above in reversed(Path(name).parents[:-1]))]
    return next((above for above in way if not (is_folder(above) and _is_open(above))), folder / name)


def _hooks_of(tree: Path, workspace: Path) -> Iterator[Path]:
    """Yield the folder for hooks (core.hooksPath) that lies in the working tree, if there is one."""
    git = tree / ".git" if os.path.isdir(tree / ".git") else named_by(tree / ".git", workspace)
    if git and git.parent.name == "worktrees" and os.path.isfile(git / "commondir"):
        git = git.parent.parent
    try:
        named = git and configuration.hooks_path(read_regular(git, "config", limit=configuration.MOST_BYTES))
        folder = tree / (named or ".")
        if tree in folder.parents and leads_to(folder.parent, folder.parent) and os.path.isdir(folder.parent):
            yield folder
    except (RemitError, OSError):
        pass


def _of_git(repository: Path) -> Iterator[Path]:
    yield from (repository / name for name in OF_GIT)
    alternates = repository / ALTERNATES
    info, objects = list(alternates.parents)[:2]
    if not is_folder(objects):
        return  # the git folder of a linked worktree has none
    closed = next((folder for folder in (objects, info) if is_folder(folder) and not _is_open(folder)), None)
    if closed:
        yield closed
    elif not os.path.islink(info):
        yield alternates


def _is_open(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK)
