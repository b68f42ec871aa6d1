"""What commands need on disk beside their workspaces, as long as they last; and what of it a dead server left."""

import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp

import anyio

from server.errors import Code, RemitError
from server.runner.protected import find_protected
from server.runner.removal import delete_tree
from server.runner.standin import make_stand_ins, remove_stand_ins

_log = logging.getLogger(__name__)

_RECORD = "stand-ins"  # in a folder that is otherwise empty: a workspace, then paths in it, each closed by a NUL


class Scratch:
    """Folders that go when their command does. One that is found at the start of a server is a dead one's."""

    def __init__(self, root: Path | None = None) -> None:
        """Make `root` where it is missing, for us alone; without one it all lies among the machine's temporary files.

        There nobody looks for what is left, so a server has a root of its own.
        """
        self.root = root
        self._standing: Counter[Path] = Counter()
        if root:
            root.mkdir(mode=0o700, exist_ok=True)

    @asynccontextmanager
    async def private_folders(self) -> AsyncIterator[tuple[Path, Path]]:
        """A home and a temporary folder, as long as the command lives."""
        async with self._folder() as folder:
            home, temporary = folder / "home", folder / "tmp"
            home.mkdir()
            temporary.mkdir()
            yield home, temporary

    @asynccontextmanager
    async def protected(self, workspace: Path, *, at_top: bool = False) -> AsyncIterator[tuple[Path, ...]]:
        """The paths in a workspace that are to be mounted read-only; those that were missing are gone afterwards.

        `at_top` is for `find_protected`.

        Raises RemitError (SANDBOX_UNAVAILABLE) where something cannot be protected.
        """
        found = await anyio.to_thread.run_sync(find_protected, workspace, at_top)
        standing = (*found.missing, *(path for path in found.present if path in self._standing))
        if not standing:
            yield found.present
            return
        async with self._folder() as folder:
            (folder / _RECORD).write_bytes(b"".join(os.fsencode(path) + b"\0" for path in (workspace, *standing)))
            self._standing.update(standing)
            try:
                await anyio.to_thread.run_sync(_stand_in, workspace, standing)
                yield (*found.present, *found.missing)
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(remove_stand_ins, workspace, self._left_by_all(standing))

    def _left_by_all(self, standing: Sequence[Path]) -> list[Path]:
        """Which of these stand-ins no other command in the same workspace needs: without them it could be written."""
        self._standing.subtract(standing)
        left = [path for path in standing if not self._standing[path]]
        for path in left:
            del self._standing[path]
        return left

    def sweep(self) -> int:
        """Remove what dead servers left, once their commands have ended; how many folders there were. Blocks.

        Only for the start of a server: what a command is using would be removed as well.
        """
        left = list(self.root.iterdir()) if self.root else []
        for folder in left:
            if named := _on_record(folder):
                remove_stand_ins(named[0], named[1:])
            _clear_away(folder)
        return len(left)

    @asynccontextmanager
    async def _folder(self) -> AsyncIterator[Path]:
        folder = Path(mkdtemp(prefix="remit-", dir=self.root))
        try:
            yield folder
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_clear_away, folder)


def _on_record(folder: Path) -> list[Path]:
    """A workspace, and the stand-ins in it; nothing where a server was killed before it had written them down."""
    try:
        named = (folder / _RECORD).read_bytes().split(b"\0")[:-1]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [Path(os.fsdecode(path)) for path in named]


def _stand_in(workspace: Path, paths: Sequence[Path]) -> None:
    try:
        make_stand_ins(workspace, paths)
    except OSError as error:
        raise RemitError(
            Code.SANDBOX_UNAVAILABLE,
            f"{error.filename} cannot be protected from being written: {error.strerror}; allowHooks does without that",
        ) from error


def _clear_away(folder: Path) -> None:
    """What cannot be deleted is left and told of: how the command ended is not changed by it."""
    try:
        delete_tree(folder)
    except OSError as error:
        _log.warning("the private folder %s of a command is left: %s", folder, error)
