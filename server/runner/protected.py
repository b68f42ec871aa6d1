"""What other tools would execute or obey: files of a repository that a command must not write.

Git runs hooks and what its settings name; direnv, editors, assistants and shells read the rest when a person next works
in the folder.
"""

import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from server.errors import RemitError
from server.runner.folder import read_beneath

MOST_FOLDERS = 2000  # that are looked into for repositories, the outer ones first: some 30 ms
MOST_NAMES = 100_000  # that are looked at in each: some 100 ms; a file system may hold millions
MOST_REPOSITORIES = 16  # each takes about 20 mounts, which is some 2 ms at the start of every command

OF_GIT = ("hooks", "config", "config.worktree", "commondir")
ALTERNATES = "objects/info/alternates"
"""What it names is shown to whoever gets a worktree of the repository."""
BESIDE_GIT = (
    ".envrc",
    ".mcp.json",
    ".vscode",
    ".idea",
    ".claude",
    ".bashrc",
    ".bash_profile",
    ".profile",
    ".zshrc",
    ".zprofile",
)
_KEPT_IF_THERE = ".gitmodules"  # git itself executes nothing it finds there

_TELLING = frozenset({".git", "config"})

_GITDIR_BYTES = 8192  # of a file `.git`: twice the longest path


@dataclass(frozen=True, slots=True)
class Protected:
    """The paths that are to be read-only: those that are there, and those that are not, which must not appear."""

    present: tuple[Path, ...]
    missing: tuple[Path, ...]


def find_protected(workspace: Path, at_top: bool = False) -> Protected:
    """Look for repositories in the workspace, itself included, and for what is to be protected in each.

    A symlink is passed over, with what lies beyond it: mounting its target would let a command choose what it sees.
    A folder that its own user may not list or add to is protected as a whole, since a command could open it again.
    With `at_top`, what lies beside a repository is protected in the workspace itself, whether that is one or not.
    """
    found = islice(_closed_and_repositories(workspace), MOST_REPOSITORIES)
    top = _beside(workspace / ".git") if at_top and _is_open(workspace) else ()
    paths = dict.fromkeys((*top, *(path for folder in found for path in folder)))
    present = tuple(path for path in paths if os.path.lexists(path) and not path.is_symlink())
    return Protected(present, tuple(path for path in paths if not os.path.lexists(path)))


def _closed_and_repositories(workspace: Path) -> Iterator[tuple[Path, ...]]:
    for folder, names in _folders(workspace, lambda _, names: names - {".git"}):
        if names is None:
            yield (folder,)
        elif _is_plain(git := folder / ".git"):
            yield tuple(_beside(git)) if _is_open(folder) else (folder,)
            for repository in _git_folders(git, workspace):
                yield tuple(_of_git(repository)) if _is_open(repository) else (repository,)


def _beside(git: Path) -> Iterator[Path]:
    if not git.is_dir():
        yield git  # a file that names the repository, and could name another
    if (modules := git.with_name(_KEPT_IF_THERE)).exists():
        yield modules
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


def _git_folders(git: Path, workspace: Path) -> Iterator[Path]:
    """The repository of a worktree, with those of its submodules and of its other worktrees."""
    top = git if git.is_dir() else _named_by(git, workspace)
    if top is None:
        return
    yield top
    # What tells a repository of a submodule is its `config`: that one is protected, so no command can take it away.
    for folder, names in _folders(top / "modules", lambda _, names: {"modules"} if "config" in names else names):
        if names is None or "config" in names:
            yield folder
    worktrees = top / "worktrees"
    for folder, names in _folders(worktrees, lambda folder, names: names if folder == worktrees else set()):
        if names is None or folder != worktrees:
            yield folder


def _folders(top: Path, below: Callable[[Path, set[str]], set[str]]) -> Iterator[tuple[Path, set[str] | None]]:
    """Folders from `top` down, the outer ones first, with the names in each; None for one that is closed.

    `below` tells, by a folder and the names in it, which of them to go on with.
    """
    ahead = deque([top] if _is_folder(top) else [])
    for _ in range(MOST_FOLDERS):
        if not ahead:
            return
        folder = ahead.popleft()
        try:
            is_folder = _listed(folder)
        except PermissionError:
            yield folder, None
        except OSError:
            pass  # nothing there, or a path longer than any tool could use
        else:
            yield folder, set(is_folder)
            ahead += (folder / name for name in sorted(below(folder, set(is_folder))) if is_folder.get(name))


def _listed(folder: Path) -> dict[str, bool]:
    """The first names in a folder, and whether each is a folder itself; of files only those that tell a repository."""
    with os.scandir(folder) as listing:
        entries = ((each.name, each.is_dir(follow_symlinks=False)) for each in islice(listing, MOST_NAMES))
        return {name: is_folder for name, is_folder in entries if is_folder or name in _TELLING}


def _named_by(git: Path, workspace: Path) -> Path | None:
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
