"""`remit restore`: what was backed up is there again, what was there is kept, and what is missing is said."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from server.backups.exclusion import moving, packing
from server.runner.process import ProcessMark
from tests import servers
from tests.cli.command_line import CommandLine
from tests.servers import LAUNCHER


def stopped_backup(remit: CommandLine, file: Path, *options: str) -> None:
    """Write a backup, then end the server."""
    remit.json("backup", str(file), *options)
    remit("server", "stop", "--force")


def ended(remit: CommandLine, command: str) -> str:
    """Return the id of a task that has ended."""
    task_id = remit.detached(command)
    remit("watch", task_id)
    return task_id


def refused(remit: CommandLine, file: Path) -> str:
    done = remit("restore", str(file))
    assert done.returncode == 1, done.stdout
    return done.stderr


def shown(remit: CommandLine, task_id: str) -> dict[str, Any]:
    task: dict[str, Any] = remit.json("show", task_id)
    return task


def test_a_task_is_there_again_with_its_folder(remit: CommandLine, medium: Path) -> None:
    task_id = ended(remit, "echo kept | tee file; mkdir d; ln -s nowhere d/link; echo '#' > d/tool; chmod 755 d/tool")
    stopped_backup(remit, medium / "one.tar.gz", "--folders")
    shutil.rmtree(remit.home)
    answer = remit.json("restore", str(medium / "one.tar.gz"))
    assert (answer["tasks"], answer["withoutFolderTaskIds"], answer["keptIn"]) == (1, [], None)
    assert shown(remit, task_id)["result"] == "kept\n"
    assert "warnings" not in shown(remit, task_id)
    folder = remit.home / "workspaces" / task_id
    assert (folder / "file").read_text() == "kept\n"
    assert ((folder / "d/link").readlink(), (folder / "d/tool").stat().st_mode & 0o777) == (Path("nowhere"), 0o755)


def test_while_a_server_runs_it_is_refused(remit: CommandLine, medium: Path) -> None:
    remit("run", "true")
    remit.json("backup", str(medium / "one.db"))
    assert "end it first: remit server stop" in refused(remit, medium / "one.db")


def test_while_a_backup_packs_the_folders_it_is_refused(remit: CommandLine, medium: Path) -> None:
    task_id = ended(remit, "echo kept > file")
    stopped_backup(remit, medium / "one.tar.gz", "--folders")
    with packing(remit.home):
        assert "is being written: wait until it has ended" in refused(remit, medium / "one.tar.gz")
    assert shown(remit, task_id)["status"] == "completed"
    assert not list(remit.home.glob("before-restore-*"))


def test_while_it_moves_the_folders_they_are_not_packed(remit: CommandLine, medium: Path) -> None:
    ended(remit, "echo kept > file")
    with moving(remit.home):
        done = remit("backup", "--folders", str(medium / "one.tar.gz"))
    assert (done.returncode, "a restore changes the task folders" in done.stderr) == (1, True)
    assert not list(medium.iterdir())


def test_what_is_no_backup_changes_nothing(remit: CommandLine, medium: Path) -> None:
    task_id = ended(remit, "true")
    stopped_backup(remit, medium / "one.db")
    (medium / "text").write_text("x" * 100)
    with closing(sqlite3.connect(medium / "another's.db")) as db:
        db.execute("CREATE TABLE t (a)")
    with closing(sqlite3.connect(medium / "one.db")) as db:
        db.execute("PRAGMA user_version = 1000")
    assert "is no backup of remit" in refused(remit, medium / "text")
    assert "there is no file" in refused(remit, medium / "nothing")
    assert "it is no database of remit" in refused(remit, medium / "another's.db")
    assert "was written by a newer remit" in refused(remit, medium / "one.db")
    assert list(remit.home.glob("*restore*")) == []
    assert shown(remit, task_id)["status"] == "completed"


@pytest.mark.parametrize("options", [[], ["--folders"]])
def test_a_damaged_backup_is_refused(remit: CommandLine, medium: Path, options: list[str]) -> None:
    ended(remit, "head -c 200000 /dev/urandom > file")
    stopped_backup(remit, medium / "one", *options)
    content = bytearray((medium / "one").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8192] = b"\xa5" * 8192
    (medium / "one").write_bytes(content)
    assert "VALIDATION_ERROR" in refused(remit, medium / "one")
    (medium / "one").write_bytes(content[: len(content) // 3])
    assert "VALIDATION_ERROR" in refused(remit, medium / "one")


def test_what_was_there_is_kept_and_named(remit: CommandLine, medium: Path) -> None:
    old = ended(remit, "echo old > file")
    stopped_backup(remit, medium / "one.tar.gz", "--folders")
    new = ended(remit, "echo new > file")
    (remit.home / "workspaces" / old / "file").write_text("changed since")
    remit("server", "stop")
    kept = Path(remit.json("restore", str(medium / "one.tar.gz"))["keptIn"])
    assert kept.parent == remit.home
    assert (kept / "workspaces" / new / "file").read_text() == "new\n"
    assert (kept / "workspaces" / old / "file").read_text() == "changed since"
    assert (remit.home / "workspaces" / old / "file").read_text() == "old\n"
    with closing(sqlite3.connect(kept / "remit.db")) as db:
        assert {row[0] for row in db.execute("SELECT id FROM tasks")} == {old, new}
    assert [task["id"] for task in remit.json("list")["tasks"]] == [old]
    assert (kept / "workspaces" / new / "file").exists()  # the start of the server has not removed it


def test_without_folders_in_the_backup_those_that_are_here_stay(remit: CommandLine, medium: Path) -> None:
    task_id = ended(remit, "echo here > file")
    stopped_backup(remit, medium / "one.db")
    assert remit.json("restore", str(medium / "one.db"))["withoutFolderTaskIds"] == []
    remit("list")
    assert (remit.home / "workspaces" / task_id / "file").read_text() == "here\n"


def test_with_the_database_gone_a_start_is_refused_and_a_backup_is_restored_beside_the_folders(
    remit: CommandLine, medium: Path
) -> None:
    task_id = ended(remit, "echo here > file")
    stopped_backup(remit, medium / "one.db")
    (remit.home / "remit.db").unlink()
    assert "remit restore" in remit("list").stderr
    remit.json("restore", str(medium / "one.db"))
    assert remit.json("list")["tasks"][0]["id"] == task_id
    assert (remit.home / "workspaces" / task_id / "file").read_text() == "here\n"


def test_a_backup_of_another_state_folder_takes_its_place(remit: CommandLine, medium: Path) -> None:
    other = CommandLine(remit.home.with_name("other"), remit.folder)
    theirs = ended(other, "echo theirs > file")
    stopped_backup(other, medium / "other.tar.gz", "--folders")
    task_id = ended(remit, "echo ours > file")
    remit("server", "stop")
    kept = Path(remit.json("restore", str(medium / "other.tar.gz"))["keptIn"])
    assert [task["id"] for task in remit.json("list")["tasks"]] == [theirs]
    assert (remit.home / "workspaces" / theirs / "file").read_text() == "theirs\n"
    assert (kept / "workspaces" / task_id / "file").read_text() == "ours\n"


def test_what_had_not_come_into_the_file_yet_is_kept_too(remit: CommandLine, medium: Path) -> None:
    ended(remit, "true")
    stopped_backup(remit, medium / "one.db")
    new = ended(remit, "true")
    servers.kill(remit.home)  # its latest changes stand in the WAL
    kept = Path(remit.json("restore", str(medium / "one.db"))["keptIn"])
    with closing(sqlite3.connect(kept / "remit.db")) as db:
        assert db.execute("SELECT count(*) FROM tasks WHERE id = ?", (new,)).fetchone() == (1,)


def test_what_stands_in_a_log_of_changes_without_its_database_does_not_come_into_the_backups(
    remit: CommandLine, medium: Path
) -> None:
    task_id = ended(remit, "true")
    stopped_backup(remit, medium / "one.db")
    ended(remit, "true")
    servers.kill(remit.home)
    (remit.home / "remit.db").unlink()
    kept = Path(remit.json("restore", str(medium / "one.db"))["keptIn"])
    assert [task["id"] for task in remit.json("list")["tasks"]] == [task_id]
    assert (kept / "remit.db-wal").exists()


def test_a_folder_that_is_missing_is_said_in_the_task_and_before_a_further_turn(
    remit: CommandLine, medium: Path
) -> None:
    task_id = ended(remit, "echo x > file")
    stopped_backup(remit, medium / "one.db")
    shutil.rmtree(remit.home / "workspaces")
    assert remit.json("restore", str(medium / "one.db"))["withoutFolderTaskIds"] == [task_id]
    assert ["the task's folder is gone" in each for each in shown(remit, task_id)["warnings"]] == [True]
    sent = remit("send", task_id, "ls")
    assert "the task's folder is gone" in sent.stderr
    assert ["this turn started with an empty one" in each for each in shown(remit, task_id)["warnings"]] == [True]


def test_a_task_that_would_go_on_by_itself_waits_for_a_word(remit: CommandLine, medium: Path) -> None:
    remit("list", REMIT_MAX_RUNNING="1")
    first = remit.detached("sleep 600")
    with remit.start("watch", first) as watch:
        watch.expect("sleep 600")
    task_id = remit.detached("echo done")
    stopped_backup(remit, medium / "one.db")
    answer = remit.json("restore", str(medium / "one.db"))
    assert (answer["interruptedTaskIds"], answer["pausedTaskIds"]) == ([first], [task_id])
    held = shown(remit, task_id)
    assert (held["status"], held["blockedReason"]) == ("paused", "RESTORED")
    assert ["what it did after that was made is not known" in each for each in held["warnings"]] == [True]
    assert "cancel_task first" in remit("send", task_id, "echo other").stderr
    assert remit("send", task_id).stdout == "done\n"
    assert "blockedReason" not in shown(remit, task_id)


def test_a_task_that_waits_for_approval_still_does(remit: CommandLine, medium: Path) -> None:
    task_id, _ = remit.waiting("echo yes")
    stopped_backup(remit, medium / "one.db")
    assert remit.json("restore", str(medium / "one.db"))["awaitingApprovalTaskIds"] == [task_id]
    remit("approve", task_id)
    assert remit("watch", task_id).stdout == "yes\n"


def test_processes_that_only_the_former_database_knows_are_ended(remit: CommandLine, medium: Path) -> None:
    ended(remit, "true")
    stopped_backup(remit, medium / "one.db")
    with subprocess.Popen(["sleep", "600"]) as left:
        with closing(sqlite3.connect(remit.home / "remit.db", isolation_level=None)) as db:
            mark = json.dumps([asdict(ProcessMark.of(left.pid))])
            db.execute("UPDATE runs SET ended_at = NULL, processes = ?", (mark,))
        remit.json("restore", str(medium / "one.db"))
        assert left.wait(servers.PATIENCE) == -9


def test_processes_that_only_the_backup_knows_are_ended(remit: CommandLine, medium: Path) -> None:
    ended(remit, "true")
    stopped_backup(remit, medium / "one.db")
    with subprocess.Popen(["sleep", "600"]) as left:
        with closing(sqlite3.connect(medium / "one.db", isolation_level=None)) as db:
            mark = json.dumps([asdict(ProcessMark.of(left.pid))])
            db.execute("UPDATE tasks SET status = 'running', completed_at = NULL")
            db.execute("UPDATE runs SET ended_at = NULL, processes = ?", (mark,))
        (remit.home / "remit.db").unlink()
        try:
            remit.json("restore", str(medium / "one.db"))
            assert left.wait(10) == -9
        finally:
            left.kill()


@pytest.mark.namespaces
@pytest.mark.parametrize("options", [[], ["--folders"]])
def test_a_medium_that_cannot_be_written_is_enough(remit: CommandLine, medium: Path, options: list[str]) -> None:
    task_id = ended(remit, "echo x > file")
    stopped_backup(remit, medium / "one", *options)
    shutil.rmtree(remit.home)
    read_only = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", str(medium), str(medium), sys.executable, str(LAUNCHER)]
    subprocess.run([*read_only, "restore", str(medium / "one")], env=servers.environment(remit.home), check=True)
    assert shown(remit, task_id)["status"] == "completed"
