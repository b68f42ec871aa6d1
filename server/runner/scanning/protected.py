"""What other tools would execute or obey: files of a repository that a command must not write.

Git runs hooks and what its settings name; direnv, editors, assistants and shells read the rest when a person next works
in the folder.
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
OTHER_SYSTEMS = {
    ".hg": ("hgrc", "hgrc-not-shared", "sharedpath"),
    ".sl": ("config", "sharedpath"),
    ".jj": ("workspace-config.toml", "repo/config.toml", "repo/store/git_target"),
}
"""The folders of other systems of version control, as Mercurial, Sapling and Jujutsu have them, with the files in each
that name programs, or another repository whose settings do: these are closed, and where there is no such folder, it."""
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
"""What tools execute or obey and is part of a project's work, or takes the person's leave: told as a gap."""
_KEPT_IF_THERE = (
    ".gitmodules",  # git itself executes nothing it finds there
    "opencode.json",  # a stand-in for it would be in every listing of the folder
)


@dataclass(frozen=True, slots=True)
class Protected:
    """The paths that are to be read-only: those that are there, and those that are not, which must not appear."""

    present: tuple[Path, ...]
    missing: tuple[Path, ...]
    places: frozenset[SensitivePath] = frozenset()
    """The repositories that they belong to."""

    found: tuple[SensitivePath, ...] = ()
    """All that was found, those beyond the limit too."""


def find_protected(workspace: Path, at_top: bool = False, first: Iterable[SensitivePath] = ()) -> Protected:
    """Look for repositories in the workspace, itself included, and for what is to be protected in each.

    A symlink is passed over, with what lies beyond it: mounting its target would let a command choose what it sees.
    A folder that its own user may not list or add to is protected as a whole, since a command could open it again.
    With `at_top`, what lies beside a repository is protected in the workspace itself, whether that is one or not.
    The places `first` come before all that is found now: what is made since cannot push them out of the limit.
    """
    found = _found(workspace)
    places = list(dict.fromkeys((*filter(_is_there, first), *_first(found))))[:MOST_REPOSITORIES]
    top = _beside(workspace / ".git") if at_top and _is_open(workspace) else ()
    paths = dict.fromkeys((*top, *(path for place in places for path in _protected_in(place, workspace))))
    present = tuple(path for path in paths if os.path.lexists(path) and not os.path.islink(path))
    return Protected(present, tuple(path for path in paths if not os.path.lexists(path)), frozenset(places), found)


def find_first(workspace: Path) -> list[SensitivePath]:
    """Look for as many places as can be protected, the outer ones first. Blocks."""
    return _first(_found(workspace))


def _found(workspace: Path) -> tuple[SensitivePath, ...]:
    """All places, those that an index names last; without these where all folders were looked at."""
    budget = ScanBudget()
    found = dict.fromkeys(find_places(workspace, budget))
    linked = find_linked(workspace, tuple(found), budget) if is_cut(found) else ()
    return tuple(dict.fromkeys((*found, *linked)))


def _first(found: Iterable[SensitivePath]) -> list[SensitivePath]:
    return list(islice((place for place in found if place.kind in ("closed", "tree", "git")), MOST_REPOSITORIES))


def _is_there(place: SensitivePath) -> bool:
    """Whether the place is still what it was, reached through no link."""
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
    """A file beneath a folder, or that of the folders on the way which is none, or closed."""
    way = [folder, *(folder / above for above in reversed(Path(name).parents[:-1]))]
    return next((above for above in way if not (is_folder(above) and _is_open(above))), folder / name)


def _hooks_of(tree: Path, workspace: Path) -> Iterator[Path]:
    """The folder among the working files in which the settings of their repository have git look for hooks."""
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
        return  # as in what git keeps for a linked worktree
    closed = next((folder for folder in (objects, info) if is_folder(folder) and not _is_open(folder)), None)
    if closed:
        yield closed
    elif not os.path.islink(info):
        yield alternates


def _is_open(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK)
