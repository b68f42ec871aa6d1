"""Repositories that git would push to in a folder of this machine, where it executes their hooks."""

import os
from collections.abc import Collection
from itertools import dropwhile
from pathlib import Path

from server.runner.filesystem.bounded_reader import BoundedReader
from server.runner.scanning.places import SensitivePath

_SUFFIXES = ("/.git", "", ".git/.git", ".git")  # that git adds to a path, in its own order
_ELSEWHERE = ("/proc/", "/dev/")  # paths there lead each process elsewhere


def is_harmless(reader: BoundedReader, git: Path, named: str, places: Collection[SensitivePath]) -> bool:
    """Whether a setting of the repository `git` names no other repository in the workspace than those in `places`.

    These are looked at themselves. `named` is a path, or else the name of a remote. Blocks.
    """
    path = git.parent / named
    if "/" not in named and not os.path.lexists(path):
        return True
    if _climbs(named) or not reader.follows():
        return False
    plain = f"/{os.path.normpath(path).lstrip('/')}"  # of two slashes it keeps both
    if f"{plain}/".startswith(_ELSEWHERE):
        return False
    if any(Path(path).is_relative_to(reader.workspace) for path in (plain, os.path.realpath(plain))):
        return any(_is_known(Path(plain + suffix), places) for suffix in _SUFFIXES)
    return True


def _climbs(path: str) -> bool:
    """Whether a `..` follows a name in a path: where it leads depends on the links on the way."""
    return ".." in dropwhile(lambda part: part in ("", ".", ".."), path.split("/"))


def _is_known(path: Path, places: Collection[SensitivePath]) -> bool:
    is_git = SensitivePath("git", path) in places or (
        path.name == ".git" and SensitivePath("tree", path.parent) in places
    )
    return is_git and os.path.realpath(path) == str(path)
