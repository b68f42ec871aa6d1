"""Gitlinks: repositories that the index of another one names. To compare them, git enters each, wherever it is."""

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
"""That git may take to list all indexes of one look; it takes some 5 milliseconds for one of 1,000 files."""

_LONGEST = 64 * 1024  # bytes of an entry; a path has 4,096

_LIST = ("ls-files", "--stage", "-z")

# Git takes any entry for a gitlink whose mode has these bits among its lowest 16.
_GITLINK = re.compile(rb"(?:\A|\0)[0-7]*[1357]6[0-7]{4} [0-9a-f]+ [0-3]\t([^\0]*)")


def find_linked(
    workspace: Path,
    places: Iterable[SensitivePath],
    budget: ScanBudget,
    is_asked: Callable[[Path], bool] = lambda _: True,
) -> Iterator[SensitivePath]:
    """Look for the repositories that the indexes of `places` name, and for those that these name in turn. Blocks.

    Some may be among `places`. `is_asked` says of the working files of a repository whether git is asked for its index.
    The outer ones are asked first: that there is no time left for others is their own doing.
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
    """The index of a repository with these working files; None where it lies outside the workspace."""
    pointer = tree / ".git"
    folder = pointer if os.path.isdir(pointer) else named_by(pointer, workspace)
    return folder and folder / "index"


def _linked(workspace: Path, tree: Path, budget: ScanBudget, until: float) -> Iterator[SensitivePath]:
    """What the index of one repository names; or the index, where it cannot be read or names what no index does."""
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
    """The names of gitlinks, as an index has them. Raises Unanswered."""
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
    """Whether git itself puts no such name into an index, but would follow it."""
    return any(part in (b"", b".", b"..") or part.lower() == b".git" for part in name.split(b"/"))
