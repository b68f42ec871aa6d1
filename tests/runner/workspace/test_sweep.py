"""Putting the workspaces in order when the server starts."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL
from tempfile import TemporaryDirectory

import pytest

from server.runner.workspace.upload import Upload
from server.runner.workspace.workspaces import SweepReport, Workspaces
from tests.runner.commands import ORDINARY_USER, REPOSITORY, readable_python, surroundings

from .adversary import tree

NOW = datetime.now(UTC)


def test_workspaces_that_were_given_up_are_removed(workspaces: Workspaces, state: Path) -> None:
    for task_id in ("kept", "old", "gone"):
        workspaces.create(task_id, [Upload("a", b"x")])
    assert workspaces.sweep({"kept"}, {"old", "gone", "never"}, NOW).deleted == ["gone", "old"]
    assert os.listdir(state / "workspaces") == ["kept"]


def test_workspaces_and_homes_of_no_known_task_are_set_aside_as_they_are(workspaces: Workspaces, state: Path) -> None:
    workspaces.create("lost", [Upload("a", b"x")])
    workspaces.keep("lost")
    workspaces.furnish("lost", {".settings": "y"})
    assert workspaces.sweep({"kept"}, [], NOW).lost == ["lost"]
    (batch,) = (state / "lost").iterdir()
    assert tree(batch)["workspaces/lost/uploads/a"] == b"x"
    assert tree(batch)["homes/lost/.settings"] == b"y"


def test_a_workspace_that_its_task_has_closed_is_set_aside(unprivileged: Path) -> None:
    workspaces = Workspaces(unprivileged / "workspaces")
    workspaces.ensure("lost").chmod(0o500)
    assert workspaces.sweep([], [], NOW).lost == ["lost"]


def test_workspaces_of_known_tasks_stay_as_they_are(workspaces: Workspaces) -> None:
    folder = workspaces.create("kept", [Upload("a", b"x")])
    workspaces.sweep(["kept"], [], NOW)
    assert tree(folder) == {"uploads": None, "uploads/a": b"x"}


def test_a_known_task_without_a_workspace_is_no_obstacle(workspaces: Workspaces) -> None:
    assert workspaces.sweep(["without"], [], NOW) == SweepReport([], [], [])


def test_a_workspace_whose_task_was_not_on_record_when_the_server_was_killed_is_removed(
    workspaces: Workspaces, state: Path
) -> None:
    workspaces.create("unknown", [Upload("a", b"x")])
    workspaces.create("known", [Upload("a", b"x")])
    assert workspaces.sweep(["known"], [], NOW).deleted == ["unknown"]
    assert os.listdir(state / "workspaces") == ["known"]


@pytest.mark.parametrize("sync", [1, 2, 3])  # the file, and the folders that it lies in
def test_what_a_killed_server_left_half_made_is_hidden_and_is_removed(
    workspaces: Workspaces, state: Path, sync: int
) -> None:
    assert killed_at(sync, state / "workspaces") == -SIGKILL
    [left] = os.listdir(state / "workspaces")
    assert left.startswith(".")
    assert b"x" in tree(state).values()

    assert workspaces.sweep([], [], NOW).deleted == [left]
    assert tree(state) == {"homes": None, "workspaces": None}


def killed_at(sync: int, root: Path) -> int:
    """Return the exit status of a server that is killed when it brings something to disk for the `sync`-th time."""
    script = (
        "import os, pathlib, sys, itertools; from server.runner.workspace import upload, workspaces;"
        "count = itertools.count(1);"
        "os.fsync = lambda fd: next(count) < int(sys.argv[1]) or os.kill(os.getpid(), 9);"
        "workspaces.Workspaces(pathlib.Path(sys.argv[2])).create('task', [upload.Upload('a', b'x')])"
    )
    return subprocess.run([sys.executable, "-c", script, str(sync), str(root)], check=False).returncode


def test_a_stray_file_is_set_aside(workspaces: Workspaces, state: Path) -> None:
    (state / "workspaces" / "stray").touch()
    assert workspaces.sweep([], [], NOW).lost == ["stray"]
    assert os.listdir(state / "workspaces") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what somebody else cannot delete")
def test_what_cannot_be_deleted_is_said_and_does_not_keep_the_rest(
    unprivileged: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workspaces = Workspaces(unprivileged / "workspaces")
    workspaces.create("bad")
    workspaces.create("worse")
    os.seteuid(0)
    (workspaces.path("bad") / "uploads").chmod(0o755)
    os.chown(workspaces.path("bad") / "uploads", 0, 0)
    os.seteuid(unprivileged.stat().st_uid)
    with caplog.at_level(logging.WARNING):
        assert workspaces.sweep([], ["bad", "worse"], NOW).deleted == ["worse"]
    assert "bad" in caplog.text


CLOSED_WORKTREE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from server.runner.workspace.lost_folders import LostFolders
from server.runner.worktrees.worktree import tree_of
lost = LostFolders(Path(sys.argv[1], "lost"))
task = lost.root / "2020-01-01T00-00-00.000000Z" / "workspaces" / "closed"
(tree_of(task) / ".git").mkdir(parents=True)
for folder in (tree_of(task), task):
    folder.chmod(0)
lost.remove(datetime.now(UTC))
print(lost.names())
"""
"""For an ordinary user: to root no folder is closed."""


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that an ordinary user may enter and write, unlike pytest's own."""
    with TemporaryDirectory(prefix="remit-test-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.mark.parametrize("mode", ["0o000", "0o500"])
def test_a_worktree_that_its_task_has_closed_stays(open_to_all: Path, mode: str) -> None:
    argv = [*ORDINARY_USER, "/usr/bin/env", readable_python(), "-c", CLOSED_WORKTREE.replace("(0)", f"({mode})")]
    done = subprocess.run(
        [*argv, str(open_to_all)], env=surroundings(), cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.stdout == "['closed']\n", done.stderr
