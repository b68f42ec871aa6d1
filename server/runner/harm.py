"""What git would execute of a repository's files, in the words of its own settings, hooks and begun operations."""

import hashlib
import os
import re
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

from server.errors import RemitError
from server.runner import gitconfig
from server.runner.folder import open_folder, read_regular
from server.runner.protected import Place, named_by

Harm = frozenset[str]
"""What git would execute of one path: settings, lines, hooks, each known again by its text or a digest of it."""

_NONE: Harm = frozenset()

TODO = "rebase-merge/git-rebase-todo"
STRATEGIES = ("rebase-merge/strategy", "sequencer/opts")
"""Files that name a strategy of merging: one with a slash has git execute a file in the working tree."""

STEPS = frozenset(Path(name).name for name in (TODO, *STRATEGIES))

_MOST_STEPS = 256 * 1024  # bytes; some 3,000 commits
_MOST_LINES = 100  # that execute, and are known one by one
_MOST_HEAD = 4096
_MOST_NAMES = 1000  # in a folder of hooks
_MOST_HOOKS = 32  # of them; git has 28
_MOST_HOOK = 16 * 1024  # bytes
_HEAD = re.compile(rb"(ref: refs/\S[^\n]*|[0-9a-f]{40}|[0-9a-f]{64})\n*")
_WORKTREE = re.compile(r"\[core\] worktree[ \t]*=[ \t]*(\S.*?)[ \t]*")
_EXEC = re.compile(rb"(?m)^[ \t\r\f\v]*(?:exec|x)\b[^\n]*")


def of_git(workspace: Path, git: Path, places: Collection[Place]) -> Iterator[tuple[Path, Harm]]:
    """What of git's own folder git would execute or follow, by path. Blocks."""
    for name in ("config", "config.worktree"):
        if os.path.lexists(path := git / name):
            content = _read(workspace, path, gitconfig.MOST_BYTES)
            yield path, _unknown(path) if content is None else _of_settings(workspace, git, content)
    if os.path.lexists(path := git / "commondir") and not _is_of_another(workspace, path, places):
        yield path, _unknown(path)
    if os.path.lexists(path := git / "hooks"):
        yield from _hooks(workspace, path)


def of_steps(workspace: Path, git: Path) -> Iterator[tuple[Path, Harm]]:
    """What of a rebase or a sequence that was begun git would execute when it goes on, by path. Blocks."""
    for name in (TODO, *STRATEGIES):
        if os.path.lexists(path := git / name):
            content = _read(workspace, path, _MOST_STEPS)
            if content is None:
                yield path, _unknown(path)
            elif name == TODO:
                lines = [line.group().strip() for line in islice(_EXEC.finditer(content), _MOST_LINES)]
                yield path, Harm(map(_digest, lines if len(lines) < _MOST_LINES else [content]))
            else:
                yield path, Harm({_digest(content)}) if b"/" in content else _NONE


def of_pointer(workspace: Path, path: Path) -> Harm:
    """A link, or a file that names a repository: by what it names. Blocks."""
    content = _read(workspace, path, _MOST_HEAD)
    if content is not None:
        return Harm({_digest(content)})
    try:
        return Harm({os.readlink(path)})
    except OSError:
        return _unknown(path)


def has_head(workspace: Path, git: Path) -> bool:
    """Whether its HEAD names a reference or a commit."""
    head = _read(workspace, git / "HEAD", _MOST_HEAD)
    return head is not None and _HEAD.fullmatch(head) is not None


def _of_settings(workspace: Path, git: Path, content: bytes) -> Harm:
    """Without where the working files of a submodule are, if these name it as their repository."""
    return Harm(
        item
        for item in gitconfig.harmful(content)
        if not ((named := _WORKTREE.fullmatch(item)) and _is_submodule(workspace, git, named[1]))
    )


def _is_submodule(workspace: Path, git: Path, named: str) -> bool:
    tree = Path(os.path.normpath(git / named))
    return tree.is_relative_to(workspace) and named_by(tree / ".git", workspace) == git


def _hooks(workspace: Path, hooks: Path) -> Iterator[tuple[Path, Harm]]:
    names = _listed(hooks)
    if names is None:
        yield hooks, _unknown(hooks)
    for name in names or ():
        content = _read(workspace, path := hooks / name, _MOST_HOOK)
        is_open = os.access(path, os.X_OK)
        yield path, _unknown(path) if content is None else Harm({f"{is_open} {_digest(content)}"})


def _listed(hooks: Path) -> list[str] | None:
    """The hooks in a folder, none of whose names has a dot; None where it is a link, no folder, or has too many."""
    try:
        folder = open_folder(hooks)
    except OSError:
        return None
    try:
        with os.scandir(folder) as listing:
            names = [entry.name for entry in islice(listing, _MOST_NAMES)]
    finally:
        os.close(folder)
    found = [name for name in names if "." not in name]
    return found if len(names) < _MOST_NAMES and len(found) <= _MOST_HOOKS else None


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


def _unknown(path: Path) -> Harm:
    """What cannot be read; a change of it is known by its inode and the time of that, which no program can set."""
    try:
        status = path.lstat()
    except OSError:
        return Harm({path.name})
    return Harm({f"{path.name} {status.st_ino} {status.st_ctime_ns}"})


def _read(workspace: Path, path: Path, most: int) -> bytes | None:
    """A regular file of at most `most` bytes; None where it is none, or reached through a link."""
    try:
        return read_regular(workspace, str(path.relative_to(workspace)), limit=most)
    except (RemitError, OSError):
        return None


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
