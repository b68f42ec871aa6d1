"""A restore that is cut off, wherever that is, is undone or completed: nothing is half restored."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import pytest

from server.backups import replacement
from server.backups.replacement import recover
from server.backups.restore import restore
from server.daemon.paths import StatePaths
from server.errors import RemitError
from tests import servers
from tests.backups.test_restore import ended, stopped_backup
from tests.cli.command_line import CommandLine

STEPS = ("move", "keep", "sync_folder", "delete_tree")
"""What a replacement does, and may be killed before."""


@dataclass(frozen=True)
class Prepared:
    """A state folder whose database is older than its latest changes, and a backup that was made before."""

    home: Path
    backup: Path
    before: dict[str, str]

    @property
    def paths(self) -> StatePaths:
        return StatePaths(str(self.home), "")


def contents(home: Path) -> dict[str, str]:
    """Return all files of tasks, with what is in them, and all tasks."""
    files = {
        str(path.relative_to(home)): path.read_text()
        for folder in ("workspaces", "homes")
        for path in (home / folder).rglob("*")
        if path.is_file()
    }
    with closing(sqlite3.connect(home / "remit.db")) as db:
        tasks = {row[0]: "a task" for row in db.execute("SELECT id FROM tasks")}
    return files | tasks


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    folder = tmp_path_factory.mktemp("made")
    with servers.home(folder) as home:
        remit = CommandLine(home, folder)
        old = ended(remit, "echo old > file")
        gone = ended(remit, "echo gone > file")
        stopped_backup(remit, folder / "one.tar.gz", "--folders")
        (home / "workspaces" / old / "file").write_text("changed since")
        remit("delete", gone)
        ended(remit, "echo new > file")
        servers.kill(home)  # the latest changes stand in the WAL
        (home / "homes" / old).mkdir()
        (home / "homes" / old / "setting").write_text("of before")
        yield Prepared(home, folder / "one.tar.gz", {})


@pytest.fixture
def prepared(made: Prepared, tmp_path: Path) -> Iterator[Prepared]:
    """A copy of it."""
    with servers.home(tmp_path) as home:
        copytree(made.home, home, ignore=ignore_patterns("remit.sock"), copy_function=os.link)
        for path in home.glob("remit.db*"):
            path.unlink()
            path.write_bytes((made.home / path.name).read_bytes())
        yield Prepared(home, made.backup, contents(made.home))


def killed(prepared: Prepared, step: int) -> bool:
    """Restore in a process that is killed before its n-th step; whether it was."""
    child = os.fork()
    if not child:
        try:
            _count_down(step)
            restore(prepared.paths, prepared.backup)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _count_down(left: int) -> None:
    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: object) -> object:
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)

        return call

    for name in STEPS:
        setattr(replacement, name, counted(getattr(replacement, name)))


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """Make one function of the replacement find the disk full."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(replacement, name, full)
        yield


def test_wherever_it_is_killed_it_is_undone_or_completed(prepared: Prepared) -> None:
    outcomes = []
    step = 1
    while killed(prepared, step):
        recover(prepared.home)
        found = contents(prepared.home)
        outcomes.append(found == prepared.before)
        assert list(prepared.home.glob(".restore-*")) == []
        if found != prepared.before:
            assert sorted(value for name, value in found.items() if name.endswith("/file")) == ["gone\n", "old\n"]
            break
        assert list(prepared.home.glob("before-restore-*")) == []
        step += 1
    assert outcomes.count(True) > len(STEPS)
    assert outcomes[-1] is False  # the last kills come after the database was put in place


def test_undoing_that_is_killed_is_gone_on_with(prepared: Prepared) -> None:
    assert killed(prepared, 7)
    step, is_killed = 1, True
    while is_killed:
        child = os.fork()
        if not child:
            try:
                _count_down(step)
                recover(prepared.home)
            finally:
                os._exit(0)
        is_killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        step += 1
    assert contents(prepared.home) == prepared.before
    assert step > len(STEPS)


def test_doctor_names_one_that_was_killed_and_the_next_start_undoes_it(prepared: Prepared) -> None:
    assert killed(prepared, 7)
    found = servers.command(prepared.home, "doctor").stdout
    assert f"a restore of {prepared.backup}, begun " in found
    assert len(servers.command(prepared.home, "list").stdout.splitlines()) >= 2
    assert contents(prepared.home) == prepared.before
    log = (prepared.home / "server.log").read_text()
    assert f"was cut off: what it had changed is undone; `remit restore {prepared.backup}` begins it anew" in log


@pytest.mark.parametrize("again", [["restore"], ["server", "adopt"]])
def test_another_restore_or_an_adoption_undoes_it_first_and_says_so(prepared: Prepared, again: list[str]) -> None:
    assert killed(prepared, 7)
    arguments = [*again, str(prepared.backup)] if again == ["restore"] else again
    done = servers.command(prepared.home, *arguments)
    assert "was cut off: what it had changed is undone" in done.stdout, done.stderr
    assert list(prepared.home.glob(".restore-*")) == []


def test_one_that_fails_changes_nothing(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "No space left on device; nothing was changed"
    with failing(monkeypatch, "fold_changes"), pytest.raises(RemitError, match=said):
        restore(prepared.paths, prepared.backup)
    assert contents(prepared.home) == prepared.before
    assert [path.name for path in prepared.home.iterdir() if "restore" in path.name] == []


def test_one_that_can_not_be_undone_at_once_says_so_and_is_undone_later(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        failing(monkeypatch, "fold_changes"),
        failing(monkeypatch, "delete_tree"),
        pytest.raises(RemitError, match="cannot be undone now: No space left on device; mend that, then start again"),
    ):
        restore(prepared.paths, prepared.backup)
    assert recover(prepared.home) is None  # all but the stage was in its place again
    assert contents(prepared.home) == prepared.before


def test_a_stage_of_which_nothing_was_put_in_place_is_removed(prepared: Prepared) -> None:
    left = prepared.home / ".restore-killed"
    left.mkdir()
    assert recover(prepared.home) is None
    assert not left.exists()


def test_a_restore_that_is_stopped_in_the_middle_is_told_of_and_not_killed(prepared: Prepared, tmp_path: Path) -> None:
    pipe = tmp_path / "backup"  # of which nothing comes: it is read for ever
    os.mkfifo(pipe)
    argv = [sys.executable, str(servers.LAUNCHER), "restore", str(pipe)]
    with subprocess.Popen(argv, env=servers.environment(prepared.home), stderr=subprocess.PIPE) as restoring:
        with pipe.open("wb"):
            told = servers.command(prepared.home, "server", "stop", "--force").stderr
            assert told == f"remit: a restore is under way (process {restoring.pid}); wait until it has ended\n"
            assert restoring.poll() is None
        assert restoring.wait(servers.PATIENCE) == 1
