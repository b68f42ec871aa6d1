"""`remit doctor` finds what is missing, and changes nothing."""

import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.database_files import wal_reset_is_fixed
from tests.cli.command_line import CommandLine
from tests.servers import servers


def test_it_needs_no_server_and_makes_nothing(own_remit: CommandLine) -> None:
    own_remit("doctor")
    assert (servers(own_remit.home), own_remit.home.exists()) == ([], False)


def test_it_tells_the_tier_and_what_it_does_not_hold(own_remit: CommandLine) -> None:
    shown = own_remit("doctor").stdout
    assert "\nsandbox      " in shown
    assert "\n  does not hold: " in shown


def test_it_exits_with_zero_where_tasks_can_run(own_remit: CommandLine) -> None:
    done = own_remit("doctor")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "tasks can run here")


def test_without_a_sandbox_it_tells_what_to_install(own_remit: CommandLine, tmp_path: Path) -> None:
    done = own_remit("doctor", REMIT_SANDBOX="namespaces", PATH=str(tmp_path))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "tasks cannot run here")
    assert "apt-get install bubblewrap" in done.stdout


def test_a_wrong_setting_is_a_problem(own_remit: CommandLine) -> None:
    done = own_remit("doctor", REMIT_MAX_RUNNING="none")
    assert done.returncode == 1
    assert "problem: settings" in done.stdout


def test_an_open_state_folder_is_a_problem(own_remit: CommandLine) -> None:
    own_remit.home.mkdir(mode=0o755)
    done = own_remit("doctor")
    assert (done.returncode, "is open to other users" in done.stdout) == (1, True)


def test_it_finds_the_server_that_runs(own_remit: CommandLine) -> None:
    own_remit("list")
    assert f"pid {servers(own_remit.home)[0]}\n" in own_remit("doctor").stdout


def test_it_names_changes_that_are_kept_out_of_the_database(own_remit: CommandLine) -> None:
    own_remit("list")
    assert own_remit("server", "stop").returncode == 0
    assert "\nWAL " not in own_remit("doctor").stdout
    log = own_remit.home / "remit.db-wal"
    log.touch()
    os.truncate(log, 101 * 1024**2)
    shown = own_remit("doctor").stdout
    assert "\nWAL          101 MiB of changes are not in the database file yet\n" in shown
    assert f"fuser -v {log}" in shown


def test_it_tells_the_size_of_the_database_and_how_long_tasks_are_kept(own_remit: CommandLine) -> None:
    assert "\ndatabase     none yet\n" in own_remit("doctor").stdout
    own_remit("list")
    shown = own_remit("doctor", REMIT_RETENTION__WORKSPACES="forever").stdout
    assert re.search(r"\ndatabase     0\.\d MiB, 0\.0 of it free\n", shown)
    assert "tasks 30 days, events 7 days, workspaces forever" in shown


def test_a_database_that_cannot_shrink_is_told(own_remit: CommandLine) -> None:
    own_remit.home.mkdir(mode=0o700)
    with closing(sqlite3.connect(own_remit.home / "remit.db")) as db:
        db.executescript("PRAGMA auto_vacuum = NONE; CREATE TABLE t (a); PRAGMA user_version = 1")
    assert "PRAGMA auto_vacuum=INCREMENTAL; VACUUM" in own_remit("doctor").stdout


def test_programs_read_each_finding(own_remit: CommandLine) -> None:
    answer = json.loads(own_remit("doctor", "--json").stdout)
    assert answer["ready"] is True
    names = [finding["name"] for finding in answer["findings"]]
    assert names == ["remit", "state folder", "settings", "sandbox", "SQLite", "database", "kept", "backups", "server"]


@pytest.mark.parametrize(
    ("version", "fixed"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), True),
    ],
)
def test_the_versions_of_sqlite_with_the_fix_are_known(version: tuple[int, int, int], fixed: bool) -> None:
    assert wal_reset_is_fixed(version) is fixed
