"""Temporary files that commands need outside their workspaces, and their removal after a crash of the server."""

import json
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp

import anyio

from server.errors import Code, RemitError
from server.runner.filesystem.removal import delete_tree
from server.runner.scanning.places import SensitivePath
from server.runner.scanning.protected import Protected, find_protected
from server.runner.scanning.traps import RepositorySnapshot, disarm, snapshot
from server.runner.tiers.placeholders import make_placeholders, remove_placeholders

_log = logging.getLogger(__name__)

# Files in the folder of one command, from which the next server cleans up.
_PLACEHOLDERS = "stand-ins"  # the workspace, then the placeholders in it, each ended by a NUL
_SEEN = "seen"  # JSON: the workspace, and the snapshot of its repositories from before the command


@dataclass(slots=True)
class _Workspace:
    """A workspace that running commands may write to."""

    is_protected: bool
    commands: int = 0
    protected: Protected | None = None
    """The protected paths, found when no other command was running there."""

    seen: RepositorySnapshot | None = None
    """The snapshot of its repositories, taken at the same time; only for a user's folder."""

    changing: anyio.Lock = field(default_factory=anyio.Lock)


class Scratch:
    """Temporary folders of running commands, and the protected paths of the workspaces that they write to.

    A folder that exists when a server starts was left by one that died; `sweep` removes it.
    """

    def __init__(self, root: Path | None = None) -> None:
        """Make the folder `root` if it is missing, with mode 0700.

        Without a root, the folders are made in the system's temporary folder, which `sweep` does not clean up.
        """
        self.root = root
        self._placeholder_users: Counter[Path] = Counter()
        self._written: dict[Path, _Workspace] = {}
        self._began: dict[Path, int] = {}
        if root:
            root.mkdir(mode=0o700, exist_ok=True)

    @property
    def _state(self) -> Path | None:
        return self.root.parent if self.root else None

    @asynccontextmanager
    async def private_folders(self) -> AsyncIterator[tuple[Path, Path]]:
        """Make a home and a temporary folder for one command, and delete them after the block."""
        async with self._folder() as folder:
            home, temporary = folder / "home", folder / "tmp"
            home.mkdir()
            temporary.mkdir()
            yield home, temporary

    @contextmanager
    def unprotected(self, workspace: Path) -> Iterator[tuple[Path, ...]]:
        """Register a command that may write all of a workspace while the block runs; yield no protected paths.

        Raises RemitError (SANDBOX_UNAVAILABLE) if a command with protected paths runs in the same workspace.
        """
        with self._at_work(workspace, is_protected=False):
            yield ()

    @asynccontextmanager
    async def protected(
        self, workspace: Path, *, at_top: bool = False, first: Sequence[SensitivePath] = ()
    ) -> AsyncIterator[tuple[Path, ...]]:
        """Yield the paths in a workspace to mount read-only; placeholders stand for missing ones during the block.

        The paths are searched only when no other command runs in the workspace: a running one could put a link where a
        mount is about to be made. Commands that start later share the result, which none of them can change.
        `at_top` and `first` are passed to `find_protected`.

        Raises RemitError (SANDBOX_UNAVAILABLE) if a path cannot be protected.
        """
        with self._at_work(workspace, is_protected=True) as written:
            found = await self._found(workspace, written, at_top, first)
            if not found.missing:
                yield found.present
                return
            async with self._folder() as folder:
                record = b"".join(os.fsencode(path) + b"\0" for path in (workspace, *found.missing))
                (folder / _PLACEHOLDERS).write_bytes(record)
                self._placeholder_users.update(found.missing)
                try:
                    async with written.changing:
                        await anyio.to_thread.run_sync(_make_placeholders, workspace, found.missing)
                    yield (*found.present, *found.missing)
                finally:
                    with anyio.CancelScope(shield=True):
                        async with written.changing:
                            left = self._left_by_all(found.missing)
                            await anyio.to_thread.run_sync(remove_placeholders, workspace, left)

    @asynccontextmanager
    async def watched(self, workspace: Path, left: list[str]) -> AsyncIterator[None]:
        """Disarm, after the block, what the command left in a user's folder that the user's git would execute.

        To be used inside `protected`. The command's processes must have ended by the end of the block, so that they
        cannot interfere. `left` gets a sentence for each thing disarmed. If this server is killed before, `sweep` of
        the next one does the same.
        """
        written = self._written[workspace]
        async with written.changing:
            if written.seen is None:
                assert written.protected
                seen = await anyio.to_thread.run_sync(snapshot, workspace, written.protected)
                written.seen = replace(seen, since=self._began.setdefault(workspace, seen.since))
        async with self._folder() as folder:
            await anyio.to_thread.run_sync(_keep, folder, workspace, written.seen)
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    async with written.changing:
                        left += await anyio.to_thread.run_sync(disarm, workspace, written.seen, self._state)

    async def _found(
        self, workspace: Path, written: _Workspace, at_top: bool, first: Sequence[SensitivePath]
    ) -> Protected:
        async with written.changing:
            if written.protected is None:
                written.protected = await anyio.to_thread.run_sync(find_protected, workspace, at_top, first)
            return written.protected

    @contextmanager
    def _at_work(self, workspace: Path, *, is_protected: bool) -> Iterator[_Workspace]:
        written = self._written.setdefault(workspace, _Workspace(is_protected))
        if written.is_protected != is_protected:
            raise RemitError(
                Code.SANDBOX_UNAVAILABLE,
                f"tasks with allowHooks and tasks without cannot be at work in {workspace} at once: nothing could be "
                "protected there; let one wait for the other (dependsOn)",
            )
        written.commands += 1
        try:
            yield written
        finally:
            written.commands -= 1
            if not written.commands:
                del self._written[workspace]

    def _left_by_all(self, placeholders: Sequence[Path]) -> list[Path]:
        """Return the placeholders that no other command in the same workspace still needs."""
        self._placeholder_users.subtract(placeholders)
        left = [path for path in placeholders if not self._placeholder_users[path]]
        for path in left:
            del self._placeholder_users[path]
        return left

    def sweep(self) -> dict[Path, list[str]]:
        """Remove what dead servers left, and disarm what their commands left in users' folders. Blocks.

        Returns what was disarmed, one sentence each, by workspace. Only for the start of a server, after leftover
        processes were ended: it would also remove the folders of running commands.
        """
        folders = list(self.root.iterdir()) if self.root else []
        for folder in folders:
            if named := _on_record(folder):
                remove_placeholders(named[0], named[1:])
        left: dict[Path, list[str]] = {}
        for workspace, seen in filter(None, map(_kept, folders)):
            left.setdefault(workspace, []).extend(disarm(workspace, seen, self._state))
        for folder in folders:
            _clear_away(folder)
        return {workspace: told for workspace, told in left.items() if told}

    @asynccontextmanager
    async def _folder(self) -> AsyncIterator[Path]:
        folder = Path(mkdtemp(prefix="remit-", dir=self.root))
        try:
            yield folder
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_clear_away, folder)


def _on_record(folder: Path) -> list[Path]:
    """Return a workspace and the placeholders in it; empty if the server was killed before it recorded them."""
    try:
        named = (folder / _PLACEHOLDERS).read_bytes().split(b"\0")[:-1]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [Path(os.fsdecode(path)) for path in named]


def _keep(folder: Path, workspace: Path, seen: RepositorySnapshot) -> None:
    record = json.dumps({"workspace": str(workspace), "seen": seen.as_json()})
    (folder / _SEEN).write_text(record)


def _kept(folder: Path) -> tuple[Path, RepositorySnapshot] | None:
    """Return a workspace and its snapshot; None if the server was killed before it recorded them."""
    try:
        record = json.loads((folder / _SEEN).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return Path(record["workspace"]), RepositorySnapshot.of_json(record["seen"])


def _make_placeholders(workspace: Path, paths: Sequence[Path]) -> None:
    try:
        make_placeholders(workspace, paths)
    except OSError as error:
        raise RemitError(
            Code.SANDBOX_UNAVAILABLE,
            f"{error.filename} cannot be protected from being written: {error.strerror}; allowHooks does without that",
        ) from error


def _clear_away(folder: Path) -> None:
    """Delete the folder of a command. A failure is only logged, so that the command's outcome stays the same."""
    try:
        delete_tree(folder)
    except OSError as error:
        _log.warning("the private folder %s of a command is left: %s", folder, error)
