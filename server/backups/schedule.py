"""Backups that the server writes on a schedule, and the removal of old ones."""

import json
import logging
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio

from server.backups.files import check_outside
from server.config import BackupSettings
from server.errors import Code, RemitError
from server.version import LAUNCHER

_log = logging.getLogger(__name__)

FIRST_LOOK = 2.0
"""Seconds after the server's start before the first check: the client that started it is served first."""


INTERVAL = 600.0
"""Seconds between two checks whether a backup is due."""

_TIME = "%Y%m%dT%H%M%SZ"
_LETTERS = 12  # of an id, which tell databases apart


@dataclass(frozen=True, slots=True, order=True)
class StoredBackup:
    """An existing backup."""

    at: datetime
    file: Path


class BackupFolder:
    """The backups of one database in a folder, which may hold others' files as well."""

    def __init__(self, state: Path, identity: str, settings: BackupSettings) -> None:
        """Open the folder. `identity` is the id of the database in the state folder; backups carry it.

        Raises RemitError (VALIDATION_ERROR) for a folder within the state folder.
        """
        assert settings.folder
        check_outside(state, settings.folder, f"settings: backup.folder, {settings.folder},")
        self._folder = settings.folder
        self._settings = settings
        self._prefix = f"remit-{identity[:_LETTERS]}-"
        self._suffix = ".tar.gz" if settings.folders else ".db"

    def kept(self) -> list[StoredBackup]:
        """Return the existing backups, the oldest first. Blocks. Raises OSError, also if the folder is missing."""
        pattern = re.compile(re.escape(self._prefix) + r"(\d{8}T\d{6}Z)\.(db|tar\.gz)")
        found = [(pattern.fullmatch(path.name), path) for path in self._folder.iterdir()]
        times = [(_time(match[1]), path) for match, path in found if match]
        return sorted(StoredBackup(at, path) for at, path in times if at)

    def due(self, at: datetime) -> Path | None:
        """Return the file for the next backup if one is due at `at`, else None. Blocks. Raises OSError.

        A backup dated in the future, written while the clock was wrong, does not count.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        since = at - timedelta(seconds=self._settings.interval)
        if any(since < kept.at <= at for kept in self.kept()):
            return None
        return self._folder / f"{self._prefix}{at:{_TIME}}{self._suffix}"

    def remove_old(self, at: datetime) -> None:
        """Remove the backups that exceed `keep` at `at`, and remains of a killed writer. Blocks. Raises OSError.

        Backups dated in the future are removed first: otherwise they would remain the latest for good.
        """
        left = self._folder.glob(f".{self._prefix}*")
        kept = sorted(self.kept(), key=lambda each: (each.at <= at, each.at))
        for path in (*left, *(each.file for each in kept[: -self._settings.keep])):
            path.unlink()


class Schedule:
    """Writes a backup whenever one is due."""

    def __init__(self, folder: BackupFolder, *, with_folders: bool) -> None:
        self._folder = folder
        self._with_folders = with_folders

    async def serve(self) -> None:
        """Check regularly until cancelled; a failure is logged, and the next check tries again."""
        await anyio.sleep(FIRST_LOOK)
        while True:
            try:
                await self.write_if_due(datetime.now(UTC))
            except (RemitError, OSError) as error:
                _log.error("no backup can be written now: %s", error)
            await anyio.sleep(INTERVAL)

    async def write_if_due(self, at: datetime) -> None:
        """Write a backup if one is due at `at`. Raises RemitError or OSError where it cannot be written."""
        target = await anyio.to_thread.run_sync(self._folder.due, at)
        if target is None:
            return
        await self._write(target)
        await anyio.to_thread.run_sync(self._folder.remove_old, at)
        _log.info("backup written: %s", target)

    async def _write(self, target: Path) -> None:
        """Run `remit backup`: a process can be ended with the server, and blocks nothing meanwhile.

        Raises RemitError.
        """
        options = ["--json", *(["--folders"] if self._with_folders else [])]
        argv = [sys.executable, "-P", LAUNCHER, "backup", str(target), *options]
        done = await anyio.run_process(argv, check=False)
        if done.returncode != 0:
            raise RemitError(Code.EXECUTION_ERROR, _why(done.stdout, done.stderr))


def _time(name: str) -> datetime | None:
    """Return the time in a file's name; None if there is no such day or hour."""
    try:
        return datetime.strptime(name, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def _why(stdout: bytes, stderr: bytes) -> str:
    try:
        return str(json.loads(stdout)["error"]["message"])
    except (ValueError, KeyError):
        return stderr.decode(errors="replace").strip() or "remit backup ended without a word"
