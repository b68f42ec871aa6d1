"""What a command has left in a folder that the person's own git would execute next: found, and made harmless.

A repository is executed by whoever enters its folder: prompts and editors run `git status` by themselves. Mounts can
protect those that are there; what appears while a command runs is looked at afterwards, and set aside by another name.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from secrets import token_hex

from server.errors import RemitError
from server.runner import gitconfig
from server.runner.folder import deepest, open_folder, read_beneath
from server.runner.protected import OF_GIT, Place, find_places, named_by

TODO = "rebase-merge/git-rebase-todo"

_MOST_TODO = 1024**2
_MOST_HEAD = 4096
_MOST_HOOKS = 1000
_HEAD = re.compile(rb"(ref: refs/\S[^\n]*|[0-9a-f]{40}|[0-9a-f]{64})\n*")
_EXEC = re.compile(rb"(?m)^\s*(exec|x)\b")


Mark = tuple[object, ...]
"""By which a change is known: inodes and times of change, which no program can set."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The repositories of a folder before a command, with what of them a command could turn into a trap."""

    protected: frozenset[Place]
    """Those that the command cannot change."""

    marks: Mapping[Place, Mark]
    """How all others were."""

    todos: Mapping[Path, bytes | None]
    heads: frozenset[Path]
    """Those whose HEAD names a reference or a commit."""


def see(workspace: Path, protected: frozenset[Place]) -> Seen:
    """Look at the repositories of a folder, before a command may write it. Blocks."""
    places = frozenset(find_places(workspace))
    gits = [place.path for place in places if place.kind == "git"]
    todos = {git: _read(workspace, git / TODO, _MOST_TODO) for git in gits}
    marks = {place: _mark(place) for place in places - protected}
    return Seen(protected, marks, todos, frozenset(git for git in gits if _has_head(workspace, git)))


def untouched(tree: Path) -> Seen:
    """A worktree of a task before its work: nothing but its own repository, whose settings no command could change."""
    own = frozenset({Place("tree", tree), Place("git", tree / ".git")})
    return Seen(own, {}, {}, frozenset({tree / ".git"}))


def disarm(workspace: Path, before: Seen) -> list[str]:
    """Set aside what a command has made of it since; what was done, a sentence each. Blocks.

    What is there after that can be used: a repository keeps its commits, its branches and harmless settings.
    """
    found: list[str] = []
    places = dict.fromkeys(find_places(workspace))
    for place in places:
        if place not in before.protected and before.marks.get(place) != _mark(place):
            found += _set_aside(workspace, _traps(workspace, place, places.keys()))
        if place.kind == "git":
            found += _set_aside(workspace, _execs(workspace, place.path, before))
            if place.path in before.heads and not _has_head(workspace, place.path):
                found.append(
                    f"{_name(workspace, place.path / 'HEAD')} names no reference: git passes over that repository"
                )
    return found


def _mark(place: Place) -> Mark:
    if place.kind == "link":
        return _change(place.path)
    if place.kind == "tree":
        return _change(place.path / ".git")
    hooks = place.path / "hooks"
    names = _listed(hooks) or []
    paths = (*(place.path / name for name in OF_GIT), *(hooks / name for name in names))
    return tuple(_change(path) for path in paths)


def _change(path: Path) -> Mark:
    try:
        status = path.lstat()
    except OSError:
        return ()
    return path.name, status.st_ino, status.st_ctime_ns


def _traps(workspace: Path, place: Place, places: Collection[Place]) -> Iterator[Path]:
    """What of a place git would follow or execute."""
    if place.kind == "link":
        yield place.path
    elif place.kind == "tree" and not (git := place.path / ".git").is_dir() and named_by(git, workspace) is None:
        yield git  # it leads out of the folder, or through a link
    elif place.kind == "git":
        yield from _traps_of_git(workspace, place.path, places)


def _traps_of_git(workspace: Path, git: Path, places: Collection[Place]) -> Iterator[Path]:
    for name in ("config", "config.worktree"):
        if os.path.lexists(path := git / name) and not _is_harmless(workspace, path):
            yield path
    if os.path.lexists(path := git / "commondir") and not _is_of_another(workspace, path, places):
        yield path
    if os.path.lexists(hooks := git / "hooks") and not _has_samples_alone(hooks):
        yield hooks


def _execs(workspace: Path, git: Path, before: Seen) -> Iterator[Path]:
    path = git / TODO
    todo = _read(workspace, path, _MOST_TODO)
    is_told = todo is not None and len(todo) < _MOST_TODO
    if os.path.lexists(path) and todo != before.todos.get(git) and not (is_told and not _EXEC.search(todo or b"")):
        yield path


def _is_harmless(workspace: Path, path: Path) -> bool:
    content = _read(workspace, path, gitconfig.MOST_BYTES)
    return content is not None and len(content) < gitconfig.MOST_BYTES and gitconfig.is_harmless(content)


def _is_of_another(workspace: Path, path: Path, places: Collection[Place]) -> bool:
    """Whether a file `commondir` names a repository that is looked at itself, or its own one, through no link."""
    named = _read(workspace, path, _MOST_HEAD)
    if named is None:
        return False
    shared = path.parent / os.fsdecode(named.rstrip(b"\n"))
    try:
        return Place("git", shared.resolve()) in places and Path(os.path.normpath(shared)) == shared.resolve()
    except (OSError, RuntimeError, ValueError):
        return False


def _has_samples_alone(hooks: Path) -> bool:
    names = _listed(hooks)
    return names is not None and all(name.endswith(".sample") for name in names)


def _listed(hooks: Path) -> list[str] | None:
    """The names in a folder of hooks; None where it is a link, or no folder."""
    try:
        folder = open_folder(hooks)
    except OSError:
        return None
    try:
        with os.scandir(folder) as listing:
            return sorted(entry.name for entry in islice(listing, _MOST_HOOKS))
    finally:
        os.close(folder)


def _has_head(workspace: Path, git: Path) -> bool:
    head = _read(workspace, git / "HEAD", _MOST_HEAD)
    return head is not None and _HEAD.fullmatch(head) is not None


def _read(workspace: Path, path: Path, most: int) -> bytes | None:
    """The beginning of a regular file; None where there is none, or it is reached through a link."""
    try:
        return read_beneath(workspace, str(path.relative_to(workspace)), limit=most)
    except (RemitError, OSError):
        return None


def _set_aside(workspace: Path, paths: Iterable[Path]) -> Iterator[str]:
    for path in list(paths):
        aside = f"{path.name}.aside-{token_hex(4)}"
        parts = path.parent.relative_to(workspace).parts
        try:
            with deepest(workspace, parts) as (folder, depth):
                if depth == len(parts):
                    os.rename(path.name, aside, src_dir_fd=folder, dst_dir_fd=folder)
                    yield f"{_name(workspace, path)} was set aside as {aside}: git could have executed what it names"
        except OSError as error:
            yield f"{_name(workspace, path)} could not be set aside ({error.strerror}): git may execute what it names"


def _name(workspace: Path, path: Path) -> str:
    """A path for a person, relative to the folder, in plain characters."""
    return re.sub(r"[^\x20-\x7e]+", "?", str(path.relative_to(workspace)))[-200:]
