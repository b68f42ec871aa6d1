"""Traps: files that a command left in a user's folder and that the user's own git would execute. They are set aside.

Git executes parts of a repository whenever a program enters its folder: prompts and editors run `git status` by
themselves. Mounts protect existing repositories. What appears while a command runs is examined afterwards, and renamed
if harmful. What existed before is the user's, and stays unless something that git executes was added to it.
"""

import json
import os
import re
import shlex
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

from server.runner.filesystem.bounded_reader import BoundedReader
from server.runner.filesystem.safe_open import reached
from server.runner.filesystem.walk import MOST_FOLDERS, ScanBudget
from server.runner.scanning.fifos import find_pipes
from server.runner.scanning.git_execution import STEPS, Harm, has_head, of_borrowed, of_git, of_pointer, of_steps
from server.runner.scanning.gitlinks import find_linked, index_of
from server.runner.scanning.places import Kind, SensitivePath, paths_as_json, paths_of_json
from server.runner.scanning.protected import Protected
from server.runner.scanning.repositories import find_places, is_within_git, named_by

S = TypeVar("S", bound=str)

LONGEST_NAME = 1000
"""Characters of a path, relative to the workspace, that is told."""

MOST_TOLD = 20
"""Traps of a task that are reported one by one."""

MORE = "more was set aside: `find . -name '*.aside-remit-*'` in the folder lists all of it"
_BEYOND = (
    f"{{}} has more than {MOST_FOLDERS:,} folders, or very many names: not all of them were looked at for what git "
    "would execute; repositories that an index names were"
)
_UNREAD = (
    "git's own folders have very many folders, {} among them: not all were looked at for FIFOs, for which git would "
    "wait without end"
)
_WHY: Mapping[Kind, str] = {
    "pipe": "git would wait for it, or read it, without end",
    "index": "git would enter what no index may name, or could not read it; `git reset` makes a new one",
}
"""The reason for setting aside a path of this kind."""

_MOST_CLOSED = 10
"""Nested closed folders that are opened."""

_CLOCK_NS = 2 * 10**9
"""Nanoseconds that a file system's clock may be behind the machine's if it cannot be read: the coarsest resolution."""


@dataclass(frozen=True, slots=True)
class RepositorySnapshot:
    """The repositories of a folder before a command, and what git would already execute because of them."""

    protected: frozenset[SensitivePath]
    """The paths that the command cannot change."""

    places: frozenset[SensitivePath]
    harm: Mapping[Path, Harm]
    """What git would execute, by path; of protected repositories only the steps of unfinished operations."""

    heads: frozenset[Path]
    """The git folders whose HEAD names a reference or a commit."""

    since: int
    """Time in nanoseconds of the file system's clock: a file with an older ctime was changed by no command of this
    server."""

    def as_json(self) -> dict[str, Any]:
        """Return the snapshot as JSON, for the next server if this one is killed."""
        return {
            "protected": paths_as_json(self.protected),
            "places": paths_as_json(self.places),
            "harm": {str(path): sorted(found) for path, found in self.harm.items()},
            "heads": sorted(map(str, self.heads)),
            "since": self.since,
        }

    @classmethod
    def of_json(cls, kept: dict[str, Any]) -> "RepositorySnapshot":
        """Return the snapshot from the JSON of `as_json`."""
        return cls(
            protected=frozenset(paths_of_json(kept["protected"])),
            places=frozenset(paths_of_json(kept["places"])),
            harm={Path(path): Harm(found) for path, found in kept["harm"].items()},
            heads=frozenset(map(Path, kept["heads"])),
            since=kept["since"],
        )


def snapshot(workspace: Path, protected: Protected) -> RepositorySnapshot:
    """Take a snapshot of the repositories of a folder, before a command may write to it. Blocks."""
    since = _now(workspace)
    places = frozenset(protected.found)
    gits = [place.path for place in _ordered(places) if place.kind == "git"]
    reader = BoundedReader(workspace)
    harm = {path: found for git in gits for path, found in of_steps(reader, git)}
    for place in _ordered(places - protected.places):
        harm |= _harm(reader, place, places)
    return RepositorySnapshot(
        protected.places, places, harm, frozenset(git for git in gits if has_head(workspace, git)), since
    )


def untouched(tree: Path, *, is_protected: bool) -> RepositorySnapshot:
    """Return the snapshot of a new worktree: its own repository alone, whose configuration executes nothing.

    `is_protected` tells whether the task's commands cannot change that configuration.
    """
    own = frozenset({SensitivePath("tree", tree), SensitivePath("git", tree / ".git")})
    return RepositorySnapshot(own if is_protected else frozenset(), own, {}, frozenset({tree / ".git"}), 0)


def disarm(workspace: Path, before: RepositorySnapshot, state: Path | None = None) -> list[str]:
    """Set aside the traps made since the snapshot; return a sentence for each. Blocks.

    `state` is the state folder: symlinks into it are traps, as the tasks' own folders in it are not scanned.
    Repositories stay usable: they keep their commits, their branches and their harmless settings.
    """
    reader, budget = BoundedReader(workspace), ScanBudget()
    places, found = _opened(workspace, before, state, budget)
    found += _dealt_with(reader, before, _pipes(places))  # git would wait for these
    is_asked = partial(_may_name_more, reader, before, any(map(_may_hide, places)))
    linked = frozenset(find_linked(workspace, places, budget, is_asked))
    return [*found, *_dealt_with(reader, before, places | linked | _pipes(linked - places), linked)]


def _dealt_with(
    reader: BoundedReader,
    before: RepositorySnapshot,
    places: frozenset[SensitivePath],
    linked: frozenset[SensitivePath] = frozenset(),
) -> Iterator[str]:
    """Set aside the traps at these places; yield a sentence for each, and for what could not be set aside.

    Places in `linked` count as known: git enters them, however old they are.
    """
    entered = {place for place in linked if place.kind in ("tree", "git", "link")}
    before = replace(before, places=before.places | entered)
    for place in (*_ordered(places & before.places), *_ordered(places - before.places)):
        if place not in before.protected:
            yield from _set_aside(reader.workspace, place, _new(reader, place, before, _harm(reader, place, places)))
        if place.kind == "git":
            steps = dict(of_steps(reader, place.path))
            yield from _set_aside(reader.workspace, place, _new(reader, place, before, steps))
        yield from _cannot(reader.workspace, place, before)


def _pipes(places: Iterable[SensitivePath]) -> frozenset[SensitivePath]:
    return frozenset(find_pipes(place.path for place in places if place.kind == "git"))


def _may_hide(place: SensitivePath) -> bool:
    """Return whether undetected repositories may be at a place; the objects of bare repositories are not scanned."""
    return place.kind in ("beyond", "closed") or (place.kind == "git" and ".git" not in place.path.parts)


def _may_name_more(reader: BoundedReader, before: RepositorySnapshot, is_hidden: bool, tree: Path) -> bool:
    """Return whether the index of a repository may name a hidden repository, or one that it did not name before."""
    index = index_of(reader.workspace, tree)
    if is_hidden or index is None:
        return is_hidden
    names = reader.names(index.parent)
    is_split = names is None or any(name.startswith("sharedindex.") for name in names)
    return is_split or not _is_older(reader.workspace, index, before)


def told(found: Sequence[S], more: S) -> list[S]:
    """Return the sentences to report for a task: each once, those about set-aside files first, at most MOST_TOLD.

    `more` is the sentence MORE.
    """
    once = dict.fromkeys(found)
    distinct = sorted((each for each in once if each != more), key=lambda each: " was set aside as " not in each)
    return distinct[:MOST_TOLD] + ([more] if len(distinct) > MOST_TOLD or more in found else [])


def _ordered(places: Iterable[SensitivePath]) -> list[SensitivePath]:
    """Return places in a fixed order, so that a limit cuts off the same ones before and after a command."""
    return sorted(places, key=lambda place: (str(place.path), place.kind))


def _opened(
    workspace: Path, before: RepositorySnapshot, state: Path | None, budget: ScanBudget
) -> tuple[frozenset[SensitivePath], list[str]]:
    """Return all places. Folders that a command closed to its own user are opened again, with a sentence for each."""
    places: frozenset[SensitivePath] = frozenset()
    told: list[str] = []
    for _ in range(_MOST_CLOSED):
        places = frozenset(find_places(workspace, budget, partial(_hides, workspace, before, state)))
        closed = [place.path for place in _ordered(places) if place.kind == "closed" and place not in before.places]
        opened = list(filter(_is_opened, closed))
        if not opened:
            break
        told += [f"{_name(workspace, path)} was closed to you, and is open again" for path in opened]
    return places, told


def _hides(workspace: Path, before: RepositorySnapshot, state: Path | None, link: Path) -> bool:
    """Return whether a symlink made since the snapshot leads to a folder that is not scanned for repositories."""
    if _is_older(workspace, link, before):
        return False
    try:
        descriptor = os.open(link, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return False
    folder = Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # ten times as fast as Path.resolve
    os.close(descriptor)
    if folder.is_relative_to(workspace):
        return is_within_git(folder.relative_to(workspace))
    return state is not None and folder.is_relative_to(state.resolve())


def _is_opened(folder: Path) -> bool:
    """Grant the owner all rights to a folder; return whether that worked."""
    try:
        with reached(folder) as descriptor:
            os.chmod(f"/proc/self/fd/{descriptor}", stat.S_IMODE(os.fstat(descriptor).st_mode) | stat.S_IRWXU)
    except OSError:
        return False
    return True


def _harm(reader: BoundedReader, place: SensitivePath, places: Collection[SensitivePath]) -> dict[Path, Harm]:
    """Return what git would follow or execute at a place, by path."""
    git = place.path / ".git"
    if place.kind in ("link", "pipe", "index"):
        return {place.path: of_pointer(reader, place.path)}
    if place.kind == "tree" and not os.path.isdir(git):
        named = named_by(git, reader.workspace)
        if named is None:
            return {git: of_pointer(reader, git)}  # it leads out of the workspace, or through a symlink
        return {git: found} if (found := of_borrowed(reader, git, named, places)) else {}
    return dict(of_git(reader, place.path, places)) if place.kind == "git" else {}


def _new(
    reader: BoundedReader, place: SensitivePath, before: RepositorySnapshot, harm: Mapping[Path, Harm]
) -> list[Path]:
    """Return the paths of `harm` at which git would, or may, execute something that it did not before."""
    is_known = place in before.places and not reader.is_spent
    return [
        path
        for path, found in harm.items()
        if not found <= before.harm.get(path, frozenset())
        and (is_known or not _is_older(reader.workspace, path, before))
    ]


def _is_older(workspace: Path, path: Path, before: RepositorySnapshot) -> bool:
    """Return whether neither the file nor a folder on its path was made, changed or moved since the snapshot."""
    way = [path, *path.parents]
    try:
        statuses = [path.lstat()]
        if statuses[0].st_ctime_ns < before.since:
            statuses += [each.lstat() for each in way[1 : way.index(workspace)]]
    except OSError:
        return False
    is_folder = stat.S_ISDIR(statuses[0].st_mode)  # its entries may be newer
    return not is_folder and all(status.st_ctime_ns < before.since for status in statuses)


def _now(workspace: Path) -> int:
    """Return the time of the workspace's file system in nanoseconds, read from a new unnamed file."""
    try:
        file = os.open(workspace, os.O_TMPFILE | os.O_WRONLY, 0o600)
    except OSError:
        return time.time_ns() - _CLOCK_NS
    try:
        return os.fstat(file).st_ctime_ns
    finally:
        os.close(file)


def _cannot(workspace: Path, place: SensitivePath, before: RepositorySnapshot) -> Iterator[str]:
    """Yield a sentence for each problem at a place that setting aside cannot solve."""
    if place.kind == "git" and place.path in before.heads and not has_head(workspace, place.path):
        yield f"{_name(workspace, place.path / 'HEAD')} names no reference: git passes over that repository"
    if place.kind == "closed" and place not in before.places:
        yield f"{_name(workspace, place.path)} may not be looked into: git may execute what a repository there names"
    if place.kind == "beyond":
        yield _BEYOND.format("the folder" if place.path == workspace else _name(workspace, place.path))
    if place.kind == "unread":
        yield _UNREAD.format(_name(workspace, place.path))


def _set_aside(workspace: Path, place: SensitivePath, paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        aside = f"{path.name}.aside-remit-{token_hex(4)}"
        try:
            _rename(path, aside)
            yield _done(workspace, place, path, aside)
        except FileNotFoundError:
            pass  # removed meanwhile
        except OSError as error:
            yield f"{_name(workspace, path)} could not be set aside ({error.strerror}): git may execute what it names"


def _rename(path: Path, name: str) -> None:
    """Rename a file within its folder, without following symlinks, even if a command closed the folder.

    Raises OSError.
    """
    with reached(path.parent) as folder:
        try:
            os.rename(path.name, name, src_dir_fd=folder, dst_dir_fd=folder)
        except PermissionError:
            if not _is_opened(path.parent):
                raise
            os.rename(path.name, name, src_dir_fd=folder, dst_dir_fd=folder)


def _done(workspace: Path, place: SensitivePath, path: Path, aside: str) -> str:
    what = "git would run these steps" if path.name in STEPS else "git could have executed what it names"
    what = _WHY.get(place.kind, what)
    name = str(path.relative_to(workspace))
    is_plain = re.fullmatch(r"[\x20-\x7e]{1,200}", name)
    back = shlex.join(("mv", "--", str(Path(name).with_name(aside)), name)) if is_plain else "give it its old name"
    return f"{_name(workspace, path)} was set aside as {aside}: {what}; if it is yours, in the folder: {back}"


def _name(workspace: Path, path: Path) -> str:
    """Return a path for users: relative to the workspace, in printable ASCII; other characters are escaped as in JSON.

    A long one is not cut, as no part of a secret in it could then be masked: only its length is told.
    """
    name = json.dumps(str(path.relative_to(workspace)))[1:-1]
    return name if len(name) <= LONGEST_NAME else f"what has a path of {len(name)} characters"
