"""Gitlinks: repositories that another repository's index names. `git status` enters each of them, wherever it is."""

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import monotonic

from server.runner.filesystem.safe_open import leads_to
from server.runner.filesystem.walk import ScanBudget, is_folder
from server.runner.git import git_command
from server.runner.scanning.places import SensitivePath
from server.runner.scanning.repositories import named_by, named_git

SECONDS = 3.0
"""Time for git to list all indexes of one scan; an index of 1,000 files takes about 5 ms."""

_LONGEST = 64 * 1024  # bytes of an entry; PATH_MAX is 4,096

_LIST = ("ls-files", "--stage", "-z")

# Git treats an entry as a gitlink if its mode has these bits among its lowest 16.
_GITLINK = re.compile(rb"(?:\A|\0)[0-7]*[1357]6[0-7]{4} [0-9a-f]+ [0-3]\t([^\0]*)")


def find_linked(
    workspace: Path,
    places: Iterable[SensitivePath],
    budget: ScanBudget,
    is_asked: Callable[[Path], bool] = lambda _: True,
) -> Iterator[SensitivePath]:
    """Yield the repositories that the indexes of `places` name, and those that these name in turn. Blocks.

    Some of them may be among `places`. `is_asked` tells for the working tree of a repository whether its index is read.
    Outer repositories are read first, so that inner ones cannot use up their time.
    """
    until = monotonic() + SECONDS
    ahead = deque(sorted((place.path for place in places if place.kind == "tree"), key=lambda path: len(path.parts)))
    known = set(ahead)
    while ahead:
        tree = ahead.popleft()
        for place in _linked(workspace, tree, budget, until) if is_asked(tree) else ():
            yield place
            if place.kind == "tree" and place.path not in known:
                known.add(place.path)
                ahead.append(place.path)


def index_of(workspace: Path, tree: Path) -> Path | None:
    """Return the index of the repository with this working tree; None if it is outside the workspace."""
    pointer = tree / ".git"
    folder = pointer if os.path.isdir(pointer) else named_by(pointer, workspace)
    return folder and folder / "index"


def _linked(workspace: Path, tree: Path, budget: ScanBudget, until: float) -> Iterator[SensitivePath]:
    """Yield the repositories that one index names; the index itself if it cannot be read or contains forged names."""
    index = index_of(workspace, tree)
    if index is not None and not os.path.lexists(index):
        return
    try:
        for name in _gitlinks(tree, until - monotonic()):
            budget.gitlinks -= 1
            if budget.gitlinks < 0 or _is_forged(name):
                raise git_command.GitFailed
            folder = tree / os.fsdecode(name)
            if is_folder(folder) and leads_to(folder, folder):
                is_open = os.access(folder, os.X_OK)
                yield from named_git(folder, workspace, budget) if is_open else [SensitivePath("closed", folder)]
    except git_command.GitFailed:
        yield SensitivePath("index", index) if index else SensitivePath("beyond", tree)


def _gitlinks(tree: Path, seconds: float) -> Iterator[bytes]:
    """Yield the names of the gitlinks in an index. Raises GitFailed."""
    if seconds <= 0:
        raise git_command.GitFailed
    arguments = (f"--git-dir={tree / '.git'}", f"--work-tree={tree}", *_LIST)
    cut = b""
    for piece in git_command.read(Path("/"), *arguments, seconds=seconds):
        whole, _, cut = (cut + piece).rpartition(b"\0")
        if len(cut) > _LONGEST:
            raise git_command.GitFailed
        yield from (found[1] for found in _GITLINK.finditer(whole))


def _is_forged(name: bytes) -> bool:
    """Return whether a name is one that git never writes to an index, but would follow."""
    return any(part in (b"", b".", b"..") or part.lower() == b".git" for part in name.split(b"/"))
