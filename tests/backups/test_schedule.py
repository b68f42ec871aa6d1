"""The backups that a server writes by itself: when one is due, and which are kept."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from server.backups.schedule import BackupFolder
from server.config import BackupSettings
from server.errors import Code, RemitError
from storage.sqlite.backup import examine
from storage.sqlite.inspection import inspect
from tests import servers
from tests.cli.command_line import CommandLine

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def backups(state: Path, medium: Path, keep: int = 7, identity: str = "a" * 32) -> BackupFolder:
    return BackupFolder(state, identity, BackupSettings(folder=medium, keep=keep))


def written(folder: BackupFolder, at: datetime) -> Path:
    """Return the backup that is due then, as a file."""
    file = folder.due(at)
    assert file
    file.touch()
    return file


def test_one_is_due_a_day_after_the_latest(state: Path, medium: Path) -> None:
    folder = backups(state, medium)
    written(folder, NOON)
    assert (folder.due(NOON + DAY - timedelta(seconds=1)), folder.due(NOON + DAY) is None) == (None, False)


def test_one_from_the_future_does_not_keep_others_from_being_written(state: Path, medium: Path) -> None:
    folder = backups(state, medium)
    written(folder, NOON + 400 * DAY)
    assert folder.due(NOON)


def test_the_latest_are_kept(state: Path, medium: Path) -> None:
    folder = backups(state, medium, keep=2)
    first, *others = (written(folder, NOON + day * DAY) for day in range(3))
    folder.remove_old(NOON + 2 * DAY)
    assert (first.exists(), [kept.file for kept in folder.kept()]) == (False, others)


def test_one_from_the_future_is_the_first_to_go(state: Path, medium: Path) -> None:
    folder = backups(state, medium, keep=1)
    future = written(folder, NOON + 400 * DAY)
    right = written(folder, NOON)
    folder.remove_old(NOON)
    assert (future.exists(), right.exists()) == (False, True)


def test_a_file_whose_name_is_no_time_is_none_of_them(state: Path, medium: Path) -> None:
    folder = backups(state, medium)
    (medium / f"remit-{'a' * 12}-20260231T000000Z.db").touch()
    assert folder.kept() == []


def test_nobody_elses_files_are_removed(state: Path, medium: Path) -> None:
    other = written(backups(state, medium, identity="b" * 32), NOON)
    mine = medium / "notes.db"
    mine.touch()
    folder = backups(state, medium, keep=1)
    for day in range(3):
        written(folder, NOON + day * DAY)
    folder.remove_old(NOON + 2 * DAY)
    assert (other.exists(), mine.exists(), len(folder.kept())) == (True, True, 1)


def test_what_a_killed_one_has_left_is_removed(state: Path, medium: Path) -> None:
    folder = backups(state, medium)
    file = written(folder, NOON)
    left = medium / f".{file.name}.abc"
    left.touch()
    folder.remove_old(NOON + 2 * DAY)
    assert (left.exists(), file.exists()) == (False, True)


def test_a_folder_within_the_state_folder_is_refused(state: Path) -> None:
    with pytest.raises(RemitError, match="lies in the state folder") as raised:
        backups(state, state / "backups")
    assert raised.value.code is Code.VALIDATION_ERROR


async def test_a_server_writes_one_soon_after_its_start(tmp_path: Path, medium: Path) -> None:
    with servers.home(tmp_path) as home:
        async with servers.host(home, REMIT_BACKUP__FOLDER=str(medium)) as host:
            await host.done("$ true")
            with anyio.fail_after(servers.PATIENCE):
                while not (found := [name for name in os.listdir(medium) if not name.startswith(".")]):
                    await host.call("list_tasks")
        assert (len(found), examine(medium / found[0]).tasks) == (1, 1)


async def test_no_task_is_given_the_folder_of_backups(tmp_path: Path, medium: Path) -> None:
    folders = json.dumps([str(tmp_path)])
    with servers.home(tmp_path) as home:
        async with servers.host(home, REMIT_BACKUP__FOLDER=str(medium), REMIT_WORKSPACES=folders) as host:
            error = await host.fail("create_task", message="$ ls", workspace={"path": str(medium), "mode": "readonly"})
    assert "this server's own files" in error["message"]


def test_doctor_tells_what_there_is(remit: CommandLine, state: Path, medium: Path) -> None:
    remit.home.chmod(0o700)
    setting = {"REMIT_BACKUP__FOLDER": str(medium)}
    assert "backup.folder has them written every day" in remit("doctor").stdout
    assert f"none yet in {medium}" in remit("doctor", **setting).stdout
    remit("list")
    found = inspect(remit.home / "remit.db")
    assert found
    assert found.identity
    written(backups(remit.home, medium, identity=found.identity), NOON)
    told = remit("doctor", **setting).stdout
    assert f"1 in {medium}, the latest of 2026-03-01T12:00:00+00:00" in told
    assert "days old; if a server runs meanwhile, its log says why" in told
