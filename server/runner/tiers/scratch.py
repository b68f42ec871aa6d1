"""What commands need on disk beside their workspaces, as long as they last; and what of it a dead server left."""

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

# Records in folders that are otherwise empty.
_STAND_INS = "stand-ins"  # a workspace, then paths in it, each closed by a NUL
_SEEN = "seen"  # as JSON, a workspace and what was in it before the command


@dataclass(slots=True)
class _Workspace:
    """A workspace in which commands are at work that may write it."""

    is_protected: bool
    commands: int = 0
    protected: Protected | None = None
    """As it was found when nobody was at work there."""

    seen: RepositorySnapshot | None = None
    """The same of what a command could turn into a trap; only of a folder of the person's."""

    changing: anyio.Lock = field(default_factory=anyio.Lock)


class Scratch:
    """Folders that go when their command does. One that is found at the start of a server is a dead one's."""

    def __init__(self, root: Path | None = None) -> None:
        """Make `root` where it is missing, for us alone; without one it all lies among the machine's temporary files.

        There nobody looks for what is left, so a server has a root of its own.
        """
        self.root = root
        self._standing: Counter[Path] = Counter()
        self._written: dict[Path, _Workspace] = {}
        self._first: dict[Path, tuple[SensitivePath, ...]] = {}
        self._began: dict[Path, int] = {}
        if root:
            root.mkdir(mode=0o700, exist_ok=True)

    def first(self, workspace: Path, found: Sequence[SensitivePath]) -> tuple[SensitivePath, ...]:
        """What is protected before all else: what was there at the first command of this server, and `found`.

        The latter was there at the first command of a task: one that another has handed on, or that came after it.
        """
        if found:
            self._first.setdefault(workspace, tuple(found))
        return (*self._first.get(workspace, ()), *found)

    @property
    def _state(self) -> Path | None:
        return self.root.parent if self.root else None

    @asynccontextmanager
    async def private_folders(self) -> AsyncIterator[tuple[Path, Path]]:
        """A home and a temporary folder, as long as the command lives."""
        async with self._folder() as folder:
            home, temporary = folder / "home", folder / "tmp"
            home.mkdir()
            temporary.mkdir()
            yield home, temporary

    @contextmanager
    def unprotected(self, workspace: Path) -> Iterator[tuple[Path, ...]]:
        """Nothing to be mounted read-only, for a command that may write all of a workspace, as long as it lives.

        Raises RemitError (SANDBOX_UNAVAILABLE) where others are at work from whom something is protected.
        """
        with self._at_work(workspace, is_protected=False):
            yield ()

    @asynccontextmanager
    async def protected(
        self, workspace: Path, *, at_top: bool = False, first: Sequence[SensitivePath] = ()
    ) -> AsyncIterator[tuple[Path, ...]]:
        """The paths in a workspace that are to be mounted read-only; those that were missing are gone afterwards.

        They are looked for when nobody is at work there. Who is may write the workspace, and put a link where a mount
        is about to be made; but what is protected from all of them, none of them can take away.
        `at_top` and `first` are for `find_protected`.

        Raises RemitError (SANDBOX_UNAVAILABLE) where something cannot be protected.
        """
        with self._at_work(workspace, is_protected=True) as written:
            found = await self._found(workspace, written, at_top, first)
            if not found.missing:
                yield found.present
                return
            async with self._folder() as folder:
                record = b"".join(os.fsencode(path) + b"\0" for path in (workspace, *found.missing))
                (folder / _STAND_INS).write_bytes(record)
                self._standing.update(found.missing)
                try:
                    async with written.changing:
                        await anyio.to_thread.run_sync(_stand_in, workspace, found.missing)
                    yield (*found.present, *found.missing)
                finally:
                    with anyio.CancelScope(shield=True):
                        async with written.changing:
                            left = self._left_by_all(found.missing)
                            await anyio.to_thread.run_sync(remove_placeholders, workspace, left)

    @asynccontextmanager
    async def watched(self, workspace: Path, left: list[str]) -> AsyncIterator[None]:
        """See to what a command makes in a folder of the person's that their git would execute; `left` tells of it.

        Within `protected`. What the command itself could do to its end is past: its processes must be gone. Where this
        server is killed before, the next one's `sweep` does the same.
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

    def _left_by_all(self, standing: Sequence[Path]) -> list[Path]:
        """Which of these stand-ins no other command in the same workspace needs: without them it could be written."""
        self._standing.subtract(standing)
        left = [path for path in standing if not self._standing[path]]
        for path in left:
            del self._standing[path]
        return left

    def sweep(self) -> dict[Path, list[str]]:
        """Remove what dead servers left, once their commands have ended, and see to what these have made. Blocks.

        Returns what was done about traps, by workspace. Only for the start of a server: what a command is using would
        be removed as well.
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
    """A workspace, and the stand-ins in it; nothing where a server was killed before it had written them down."""
    try:
        named = (folder / _STAND_INS).read_bytes().split(b"\0")[:-1]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [Path(os.fsdecode(path)) for path in named]


def _keep(folder: Path, workspace: Path, seen: RepositorySnapshot) -> None:
    record = json.dumps({"workspace": str(workspace), "seen": seen.as_json()})
    (folder / _SEEN).write_text(record)


def _kept(folder: Path) -> tuple[Path, RepositorySnapshot] | None:
    """A workspace and what was seen in it; None where a server was killed before it had written that down."""
    try:
        record = json.loads((folder / _SEEN).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return Path(record["workspace"]), RepositorySnapshot.of_json(record["seen"])


def _stand_in(workspace: Path, paths: Sequence[Path]) -> None:
    try:
        make_placeholders(workspace, paths)
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
