"""Repositories on this machine that git would push to: a push executes their hooks."""

import os
from collections.abc import Collection
from itertools import dropwhile
from pathlib import Path

from server.runner.filesystem.bounded_reader import BoundedReader
from server.runner.scanning.places import SensitivePath

_SUFFIXES = ("/.git", "", ".git/.git", ".git")  # that git tries for a path, in its order
_ELSEWHERE = ("/proc/", "/dev/")  # paths there differ from process to process


def is_harmless(reader: BoundedReader, git: Path, named: str, places: Collection[SensitivePath]) -> bool:
    """Return whether a setting of the repository `git` names no repository in the workspace but those in `places`.

    The repositories in `places` are examined by themselves. `named` is a path or the name of a remote. Blocks.
    """
    path = git.parent / named
    if "/" not in named and not os.path.lexists(path):
        return True
    if _climbs(named) or not reader.follows():
        return False
    plain = f"/{os.path.normpath(path).lstrip('/')}"  # normpath keeps two leading slashes
    if f"{plain}/".startswith(_ELSEWHERE):
        return False
    if any(Path(path).is_relative_to(reader.workspace) for path in (plain, os.path.realpath(plain))):
        return any(_is_known(Path(plain + suffix), places) for suffix in _SUFFIXES)
    return True


def _climbs(path: str) -> bool:
    """Return whether a path has a `..` after a name: its target then depends on symlinks on the way."""
    return ".." in dropwhile(lambda part: part in ("", ".", ".."), path.split("/"))


def _is_known(path: Path, places: Collection[SensitivePath]) -> bool:
    is_git = SensitivePath("git", path) in places or (
        path.name == ".git" and SensitivePath("tree", path.parent) in places
    )
    return is_git and os.path.realpath(path) == str(path)
