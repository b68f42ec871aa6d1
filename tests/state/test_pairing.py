"""No folder of a task is lost because the database does not know it: another one, none, or an older copy."""

import json
import logging
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.runner.process import ProcessMark
from server.runner.workspace.workspaces import Workspaces
from storage.sqlite.migrations import MIGRATIONS
from storage.sqlite.migrations import m15_identity as identity_step
from tests import servers
from tests.state.conftest import done, stop
from tests.storage.test_migration import TASK
from tests.tasks.workspaces import projects

OLDER = MIGRATIONS.index(identity_step.SCRIPT)
"""The steps before databases had ids."""


def workspaces(home: Path) -> set[str]:
    """Return the folders of tasks that are in their places."""
    return {path.name for path in (home / "workspaces").iterdir() if not path.name.startswith(".")}


def lost(home: Path) -> set[str]:
    """Return the folders that are set aside."""
    return {path.name for path in home.glob("lost/*/workspaces/*")}


def damaged(home: Path, how: str) -> None:
    """Bring the database out of its place, in one of the ways in which that happens."""
    for file in home.glob("remit.db*"):
        file.unlink()
    if how == "empty":
        (home / "remit.db").touch()
    if how == "another":
        with closing(sqlite3.connect(home / "remit.db", isolation_level=None)) as db:
            for number, script in enumerate(MIGRATIONS, start=1):
                db.executescript(f"BEGIN;{script};PRAGMA user_version = {number};COMMIT")


def older(home: Path) -> None:
    """Make what an earlier remit left: a database without an id, and the folder of its only task without an owner."""
    (home / "workspaces" / "old").mkdir(parents=True)
    home.chmod(0o700)
    with closing(sqlite3.connect(home / "remit.db", isolation_level=None)) as db:
        steps = ";".join(MIGRATIONS[1:OLDER])
        db.executescript(f"BEGIN;{MIGRATIONS[0]};{TASK};{steps};PRAGMA user_version = {OLDER};COMMIT")


@pytest.mark.parametrize("how", ["missing", "empty", "another"])
def test_a_start_beside_folders_that_are_not_the_databases_own_is_refused(
    own_home: Path, task_id: str, how: str
) -> None:
    damaged(own_home, how)
    refused = servers.command(own_home, "list")
    assert refused.returncode == 1
    for word in ("CONFLICT", "remit restore", "remit server adopt", task_id):
        assert word in refused.stderr
    assert (own_home / "workspaces" / task_id / "work.txt").read_text() == "work\n"


@pytest.mark.parametrize("how", ["missing", "empty", "another"])
def test_adopt_sets_the_folders_aside_and_lets_the_server_start(own_home: Path, task_id: str, how: str) -> None:
    damaged(own_home, how)
    adopted = servers.command(own_home, "server", "adopt", "--json")
    assert json.loads(adopted.stdout)["lost"] == [task_id], adopted.stderr
    assert servers.command(own_home, "list").returncode == 0
    assert lost(own_home) == {task_id}


async def test_a_missing_database_beside_no_folders_is_made_anew(own_home: Path) -> None:
    async with servers.host(own_home):
        pass
    stop(own_home)
    damaged(own_home, "missing")
    assert servers.command(own_home, "list").returncode == 0


async def test_an_older_copy_of_the_database_costs_no_folder(own_home: Path, task_id: str) -> None:
    shutil.copy(own_home / "remit.db", own_home / "copy")
    later = await done(own_home)
    shutil.copy(own_home / "copy", own_home / "remit.db")
    assert servers.command(own_home, "list").returncode == 0
    assert (workspaces(own_home), lost(own_home)) == ({task_id}, {later})


def test_folders_that_were_set_aside_come_back_with_the_database_that_knows_them(own_home: Path, task_id: str) -> None:
    shutil.copy(own_home / "remit.db", own_home / "copy")
    damaged(own_home, "missing")
    servers.command(own_home, "server", "adopt")
    shutil.copy(own_home / "copy", own_home / "remit.db")
    adopted = servers.command(own_home, "server", "adopt")
    assert "put back: 1 of its tasks" in adopted.stdout, adopted.stderr
    assert (workspaces(own_home), lost(own_home)) == ({task_id}, set())


async def test_adopt_is_refused_while_a_server_runs(own_home: Path) -> None:
    async with servers.host(own_home):
        adopted = servers.command(own_home, "server", "adopt")
    assert (adopted.returncode, "CONFLICT" in adopted.stderr) == (1, True)


def test_adopt_without_a_state_folder_says_so_and_makes_none(own_home: Path) -> None:
    adopted = servers.command(own_home, "server", "adopt")
    assert (adopted.returncode, own_home.exists()) == (1, False)
    assert "there is no state folder" in adopted.stderr


def test_a_state_folder_of_before_there_were_ids_starts_and_is_marked(own_home: Path) -> None:
    older(own_home)
    (own_home / "workspaces" / "left-behind").mkdir()
    assert servers.command(own_home, "list").returncode == 0
    assert (workspaces(own_home), lost(own_home)) == ({"old"}, {"left-behind"})
    assert Workspaces(own_home / "workspaces").owner


def test_an_older_database_beside_folders_that_have_an_owner_is_refused(own_home: Path) -> None:
    older(own_home)
    Workspaces(own_home / "workspaces").owner = "another"
    refused = servers.command(own_home, "list")
    assert (refused.returncode, "the folder of a task (old)" in refused.stderr) == (1, True)


def test_folders_that_lost_their_mark_are_taken_where_the_database_knows_all_of_them(
    own_home: Path, task_id: str
) -> None:
    (own_home / "workspaces" / ".database").unlink()
    assert servers.command(own_home, "list").returncode == 0
    assert workspaces(own_home) == {task_id}


@pytest.mark.usefixtures("task_id")
def test_folders_that_lost_their_mark_are_refused_where_the_database_does_not_know_one(own_home: Path) -> None:
    (own_home / "workspaces" / ".database").unlink()
    (own_home / "workspaces" / "somebody's").mkdir()
    refused = servers.command(own_home, "list")
    assert (refused.returncode, "somebody's" in refused.stderr) == (1, True)
    assert "somebody's" in workspaces(own_home)


async def test_what_was_deleted_before_the_server_was_killed_is_gone_after_the_next_start(
    own_home: Path, task_id: str
) -> None:
    shutil.copytree(own_home / "workspaces" / task_id, own_home / "kept")
    async with servers.host(own_home) as host:
        await host.call("delete_task", id=task_id)
        servers.kill(own_home)
    with closing(sqlite3.connect(own_home / "remit.db")) as db, db:  # as if it was killed between the two steps
        db.execute("INSERT INTO removals VALUES (?)", (task_id,))
    (own_home / "kept").rename(own_home / "workspaces" / task_id)
    assert servers.command(own_home, "list").returncode == 0
    assert (workspaces(own_home), lost(own_home)) == (set(), set())


async def test_a_deleted_task_leaves_nothing_to_remove(own_home: Path, task_id: str) -> None:
    async with servers.host(own_home) as host:
        await host.call("delete_task", id=task_id)
    stop(own_home)
    with closing(sqlite3.connect(own_home / "remit.db")) as db:
        assert db.execute("SELECT count(*) FROM removals").fetchone() == (0,)


@pytest.fixture
def beside(tmp_path: Path) -> Workspaces:
    """Workspaces of which one was set aside just now."""
    state = tmp_path / "state"
    state.mkdir()
    made = Workspaces(state / "workspaces")
    made.ensure("lost")
    made.sweep([], [], NOW)
    return made


NOW = datetime.now(UTC)


def test_what_was_set_aside_goes_when_its_time_is_over(beside: Workspaces) -> None:
    beside.lost.remove(NOW)
    assert beside.lost.names() == ["lost"]
    beside.lost.remove(NOW + timedelta(seconds=1))
    assert (beside.lost.names(), list(beside.lost.root.iterdir())) == ([], [])


def test_a_worktree_that_was_set_aside_stays(beside: Workspaces) -> None:
    (folder,) = beside.lost.root.glob("*/workspaces/lost")
    projects.repository(folder / "tree")
    beside.lost.remove(NOW + timedelta(days=400))
    assert beside.lost.names() == ["lost"]


def test_what_was_set_aside_stays_there_while_something_is_in_its_place(beside: Workspaces) -> None:
    beside.ensure("lost")
    assert beside.sweep(["lost"], [], NOW).returned == []
    assert beside.lost.names() == ["lost"]


def test_what_a_person_puts_among_the_lost_is_left_alone(beside: Workspaces) -> None:
    notes = beside.lost.root / "notes.txt"
    notes.touch()
    beside.lost.remove(NOW + timedelta(days=400))
    assert notes.exists()


def test_what_cannot_be_set_aside_stays_and_is_said(beside: Workspaces, caplog: pytest.LogCaptureFixture) -> None:
    beside.ensure("task")
    shutil.rmtree(beside.lost.root)
    beside.lost.root.touch()
    with caplog.at_level(logging.WARNING):
        assert beside.sweep([], [], NOW).lost == []
    assert "cannot be moved" in caplog.text
    assert beside.names() == {"task"}


def test_adopt_ends_what_a_dead_server_left_before_it_moves_folders(own_home: Path, task_id: str) -> None:
    assert (own_home / "workspaces" / task_id).is_dir()
    with subprocess.Popen(["sleep", "600"]) as left:
        try:
            with closing(sqlite3.connect(own_home / "remit.db", isolation_level=None)) as db:
                mark = json.dumps([asdict(ProcessMark.of(left.pid))])
                db.execute("UPDATE tasks SET status = 'running', completed_at = NULL")
                db.execute("UPDATE runs SET ended_at = NULL, processes = ?", (mark,))
            assert servers.command(own_home, "server", "adopt").returncode == 0
            assert left.wait(servers.PATIENCE) == -9
        finally:
            left.kill()
