"""Programs that git would execute because of a repository's files: its configuration, hooks and open operations."""

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from pathlib import Path

from server.errors import RemitError
from server.runner.filesystem.bounded_reader import BoundedReader
from server.runner.filesystem.safe_open import leads_to, read_regular
from server.runner.git import configuration
from server.runner.scanning.places import SensitivePath
from server.runner.scanning.push_targets import is_harmless
from server.runner.scanning.repositories import named_by

Harm = frozenset[str]
"""What git would execute because of one path: settings, lines or hooks, each identified by its text or a digest."""

_NONE: Harm = frozenset()

TODO = "rebase-merge/git-rebase-todo"
STRATEGIES = ("rebase-merge/strategy", "sequencer/opts")
"""Files that name a merge strategy: one with a slash makes git execute a file in the working tree."""

STEPS = frozenset(Path(name).name for name in (TODO, *STRATEGIES))

_LEGACY = ("remotes", "branches")

_MOST_STEPS = 256 * 1024  # bytes: about 3,000 commits
_MOST_LINES = 100  # executing lines that are identified one by one
_MOST_HEAD = 4096  # bytes
_MOST_HOOKS = 32  # files; git has 28 hooks
_MOST_HOOK = 16 * 1024  # bytes
_HEAD = re.compile(rb"(ref: refs/\S[^\n]*|[0-9a-f]{40}|[0-9a-f]{64})\n*")
_WORKTREE = re.compile(r"\[core\] worktree[ \t]*=[ \t]*(\S.*)")
_EXEC = re.compile(rb"(?m)^[ \t\r\f\v]*(?:exec|x)\b[^\n]*")


def of_git(reader: BoundedReader, git: Path, places: Collection[SensitivePath]) -> Iterator[tuple[Path, Harm]]:
    """Yield each path in the git folder `git` by which git would execute or follow something. Blocks."""
    yield from _of_files_of_settings(reader, git, places)
    if os.path.lexists(path := git / "commondir") and shared_by(reader, git, places) is None:
        yield path, _unknown(path)
    yield from _all_in(reader, git / "hooks", lambda name: "." not in name)


def of_borrowed(reader: BoundedReader, pointer: Path, git: Path, places: Collection[SensitivePath]) -> Harm:
    """Return what git would execute because the file `.git` at `pointer` names the repository `git`. Blocks.

    That repository's configuration may be the user's own and yet execute files of the pointer's folder: it can name
    hooks or a file system monitor by a relative path.
    """
    shared = shared_by(reader, git, places) or git
    executes = any(harm for _, harm in _of_files_of_settings(reader, shared, places))
    return of_pointer(reader, pointer) if executes else _NONE


def of_steps(reader: BoundedReader, git: Path) -> Iterator[tuple[Path, Harm]]:
    """Yield each path by which git would execute something when an unfinished rebase or sequence continues. Blocks.

    Includes the legacy files in `remotes` and `branches`, which name what git pushes to.
    """
    for folder in _LEGACY:
        yield from _all_in(reader, git / folder)
    for name in (TODO, *STRATEGIES):
        if os.path.islink(parent := (git / name).parent):
            yield parent, of_pointer(reader, parent)
        elif os.path.lexists(path := git / name):
            content = reader.read(path, _MOST_STEPS)
            if content is None:
                yield path, _unknown(path)
            elif name == TODO:
                lines = [line.group().strip() for line in islice(_EXEC.finditer(content), _MOST_LINES)]
                yield path, Harm(map(_digest, lines if len(lines) < _MOST_LINES else [content]))
            else:
                yield path, Harm({_digest(content)}) if b"/" in content else _NONE


def of_pointer(reader: BoundedReader, path: Path) -> Harm:
    """Return the identity of a symlink, or of a file that names a repository: its target or content. Blocks."""
    content = reader.read(path, _MOST_HEAD)
    if content is not None:
        return Harm({_digest(content)})
    try:
        return Harm({os.readlink(path)})
    except OSError:
        return _unknown(path)


def has_head(workspace: Path, git: Path) -> bool:
    """Return whether the HEAD of the git folder `git` names a reference or a commit."""
    try:
        head = read_regular(workspace, str((git / "HEAD").relative_to(workspace)), limit=_MOST_HEAD)
    except (RemitError, OSError):
        return False
    return _HEAD.fullmatch(head) is not None


def _of_files_of_settings(
    reader: BoundedReader, git: Path, places: Collection[SensitivePath]
) -> Iterator[tuple[Path, Harm]]:
    for name in ("config", "config.worktree"):
        if os.path.lexists(path := git / name):
            content = reader.settings(path, configuration.MOST_BYTES)
            yield path, _unknown(path) if content is None else _of_settings(reader, git, content, places)


def _of_settings(reader: BoundedReader, git: Path, content: bytes, places: Collection[SensitivePath]) -> Harm:
    """Return the harm of a configuration; core.worktree of a submodule is allowed if its `.git` names this folder."""
    executed = {
        item
        for item in configuration.harmful(content)
        if not ((named := _WORKTREE.fullmatch(item)) and _is_submodule(reader.workspace, git, named[1]))
    }
    pushed = configuration.pushed_to(content).items()
    return Harm(executed | {item for item, path in pushed if not is_harmless(reader, git, path, places)})


def _is_submodule(workspace: Path, git: Path, named: str) -> bool:
    tree = Path(os.path.normpath(git / named))
    return tree.is_relative_to(workspace) and named_by(tree / ".git", workspace) == git


def _all_in(
    reader: BoundedReader, folder: Path, counts: Callable[[str], bool] = lambda _: True
) -> Iterator[tuple[Path, Harm]]:
    """Yield the files of a folder whose names count; the folder itself if not all can be read; nothing if missing."""
    names = _listed(reader, folder, counts) if os.path.lexists(folder) else []
    if names is None:
        yield folder, _unknown(folder)
    for name in names or ():
        content = reader.read(path := folder / name, _MOST_HOOK)
        is_open = os.access(path, os.X_OK)
        yield path, _unknown(path) if content is None else Harm({f"{is_open} {_digest(content)}"})


def _listed(reader: BoundedReader, folder: Path, counts: Callable[[str], bool]) -> list[str] | None:
    names = reader.names(folder)
    found = None if names is None else list(filter(counts, names))
    return found if found is not None and len(found) <= _MOST_HOOKS and not (found and reader.is_spent) else None


def shared_by(reader: BoundedReader, git: Path, places: Collection[SensitivePath]) -> Path | None:
    """Return the repository whose configuration applies to the git folder `git`: itself, or its main repository.

    None if its file `commondir` names anything else, or through a symlink.
    """
    if not os.path.lexists(path := git / "commondir"):
        return git
    named = reader.read(path, _MOST_HEAD)
    if named is None:
        return None
    shared = git / os.fsdecode(named.rstrip(b"\n"))
    plain = Path(os.path.normpath(shared))
    if (
        SensitivePath("git", plain) not in places
        or plain not in (git, git.parent.parent)
        or not leads_to(shared, plain)
    ):
        return None
    return plain


def _unknown(path: Path) -> Harm:
    """Return an identity for what cannot be read: its inode and change time (ctime), which programs cannot set."""
    try:
        status = path.lstat()
    except OSError:
        return Harm({path.name})
    return Harm({f"{path.name} {status.st_ino} {status.st_ctime_ns}"})


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
