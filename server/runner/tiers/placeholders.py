"""Placeholders for protected files that do not exist: a mount needs an existing target while a command runs.

They are made so that git, and tools that copy folders, ignore them: an empty folder, or a socket without a listener.
Inside `.git` they are files whose content means the same as a missing file.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from server.runner.filesystem.safe_open import deepest
from server.runner.scanning.protected import ALTERNATES, OF_GIT, OTHER_SYSTEMS

_FOLDERS = {
    *("hooks", ".vscode", ".idea", ".zed", ".cursor", ".windsurf", ".claude", ".codex", ".gemini", ".opencode"),
    *(".agents", ".devcontainer", ".husky"),
}
_BORROWING = Path(ALTERNATES)
_OF_OTHERS = {Path(file).name for files in OTHER_SYSTEMS.values() for file in files}
_EMPTY = dict.fromkeys((*OF_GIT, _BORROWING.name, *_OF_OTHERS), b"")
_FILES = _EMPTY | {"commondir": b"."}  # this folder is its own common directory: gitrepository-layout(5)


def make_placeholders(workspace: Path, paths: Iterable[Path]) -> None:
    """Make a placeholder of the right kind for each path that does not exist. Raises OSError."""
    for path in paths:
        if path.name == _BORROWING.name:
            _have_parent(path, workspace)
        with _parent_of(path, workspace) as folder, suppress(FileExistsError):
            _make(path.name, folder)


def remove_placeholders(workspace: Path, paths: Sequence[Path]) -> None:
    """Remove the placeholders; a path that is no longer one, since something else was put there, is left."""
    for path in reversed(paths):
        with suppress(OSError), _parent_of(path, workspace) as folder:
            _remove(path.name, folder)


def _have_parent(path: Path, workspace: Path) -> None:
    """Make the parent folder, which `git init` makes as well; it is not removed later."""
    with _parent_of(path.parent, workspace) as folder, suppress(FileExistsError):
        os.mkdir(path.parent.name, dir_fd=folder)


@contextmanager
def _parent_of(path: Path, workspace: Path) -> Iterator[int]:
    parts = path.parent.relative_to(workspace).parts
    with deepest(workspace, parts) as (folder, depth):
        if depth < len(parts):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
        yield folder


def _make(name: str, folder: int) -> None:
    if name in _FOLDERS:
        os.mkdir(name, 0o700, dir_fd=folder)
    elif name in _FILES:
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
        os.write(file, _FILES[name])
        os.close(file)
    else:
        os.mknod(name, stat.S_IFSOCK | 0o600, dir_fd=folder)


def _remove(name: str, folder: int) -> None:
    status = os.lstat(name, dir_fd=folder)
    if stat.S_ISDIR(status.st_mode):
        os.rmdir(name, dir_fd=folder)
    elif stat.S_ISSOCK(status.st_mode) or _is_placeholder(status, name):
        os.unlink(name, dir_fd=folder)


def _is_placeholder(status: os.stat_result, name: str) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_size == len(_FILES.get(name, b""))
