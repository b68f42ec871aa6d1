"""`remit backup`: one file, whole or not there at all, written while the server runs."""

import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from server.backups import archive
from server.backups.archive import SkippedFiles
from storage.sqlite.backup import examine
from tests import servers
from tests.cli.command_line import CommandLine
from tests.servers import LAUNCHER


def refused(remit: CommandLine, *arguments: str) -> str:
    done = remit(*arguments)
    assert done.returncode == 1, done.stdout
    return done.stderr


def test_it_is_written_while_the_server_runs(remit: CommandLine, medium: Path) -> None:
    remit("run", "echo done")
    answer = remit.json("backup", str(medium / "one.db"))
    assert (servers.servers(remit.home) != [], answer["tasks"], examine(medium / "one.db").tasks) == (True, 1, 1)


def test_it_needs_no_server(remit: CommandLine, medium: Path) -> None:
    remit("run", "echo done")
    remit("server", "stop")
    assert remit.json("backup", str(medium / "one.db"))["tasks"] == 1
    assert servers.servers(remit.home) == []


@pytest.mark.parametrize("options", [[], ["--folders"]])
def test_it_is_for_its_owner_alone(remit: CommandLine, medium: Path, options: list[str]) -> None:
    remit("run", "echo done")
    remit.json("backup", str(medium / "one"), *options)
    assert stat.S_IMODE((medium / "one").stat().st_mode) == 0o600


def test_a_file_that_is_there_is_not_replaced(remit: CommandLine, medium: Path) -> None:
    remit("run", "true")
    (medium / "mine").write_text("precious")
    assert "is there already" in refused(remit, "backup", str(medium / "mine"))
    assert (medium / "mine").read_text() == "precious"


def test_the_state_folder_is_no_place_for_it(remit: CommandLine, medium: Path) -> None:
    remit("run", "true")
    (medium / "link").symlink_to(remit.home)
    assert "lies in the state folder" in refused(remit, "backup", str(remit.home / "one.db"))
    assert "lies in the state folder" in refused(remit, "backup", str(medium / "link" / "one.db"))


def test_a_folder_that_is_not_there_is_named(remit: CommandLine, medium: Path) -> None:
    remit("run", "true")
    assert f"there is no folder {medium / 'not'}" in refused(remit, "backup", str(medium / "not" / "one.db"))


def test_where_there_is_no_database_nothing_is_written(remit: CommandLine, medium: Path) -> None:
    assert "there is nothing to back up" in refused(remit, "backup", str(medium / "one.db"))
    assert list(medium.iterdir()) == []


@pytest.mark.parametrize("options", [[], ["--folders"]])
def test_what_cannot_be_written_leaves_nothing(remit: CommandLine, medium: Path, options: list[str]) -> None:
    remit("run", "true")
    limited = ["sh", "-c", 'trap "" XFSZ; ulimit -f 64; exec "$@"', "sh", sys.executable, str(LAUNCHER)]  # 32 KiB
    done = subprocess.run(
        [*limited, "backup", str(medium / "one"), *options],
        env=servers.environment(remit.home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, list(medium.iterdir())) == (1, [])
    assert "EXECUTION_ERROR" in done.stderr


def test_it_holds_no_secret(remit: CommandLine, medium: Path) -> None:
    value = "a-value-that-stands-nowhere-else"
    remit("run", "--secret", "KEY", 'test -n "$KEY"; echo $KEY', KEY=value)
    remit.json("backup", str(medium / "one.db"))
    assert value.encode() not in (medium / "one.db").read_bytes()


def test_folders_are_taken_along_on_demand(remit: CommandLine, medium: Path) -> None:
    task_id = remit.detached("mkdir deep; echo x > deep/file; ln -s /etc/passwd link; chmod 500 deep")
    remit("watch", task_id)
    assert remit.json("backup", str(medium / "one.tar.gz"), "--folders")["folders"] == 1
    with tarfile.open(medium / "one.tar.gz") as tar:
        kinds = {
            name.rpartition("/")[2]: (tar.getmember(name).type, tar.getmember(name).mode) for name in tar.getnames()
        }
        content = tar.extractfile(f"workspaces/{task_id}/deep/file")
        assert content
        assert content.read() == b"x\n"
    assert (kinds["deep"], kinds["link"][0]) == ((tarfile.DIRTYPE, 0o500), tarfile.SYMTYPE)


def test_what_cannot_be_taken_along_is_told(remit: CommandLine, medium: Path) -> None:
    task_id = remit.detached("mkfifo pipe")
    remit("watch", task_id)
    answer = remit.json("backup", str(medium / "one.tar.gz"), "--folders")
    assert answer["leftOut"] == [f"workspaces/{task_id}/pipe: neither a file, a folder nor a link"]


def packed(state: Path, task_id: str) -> tuple[dict[str, bytes], SkippedFiles]:
    """Return the files of what is packed of a task's folder, and what is not."""
    left_out = SkippedFiles()
    whole = state.parent / "packed.tar"
    with tarfile.open(whole, "w") as tar:
        archive.pack(tar, state, [task_id], left_out)
    with tarfile.open(whole) as tar:
        files = [(member.name, tar.extractfile(member)) for member in tar if member.isreg()]
        return {name: file.read() for name, file in files if file}, left_out


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The folder of a task in a state folder without a server."""
    folder = tmp_path / "state" / "workspaces" / "task"
    folder.mkdir(parents=True)
    return folder


def test_a_file_that_is_replaced_by_a_link_meanwhile_leads_nowhere(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside").write_text("not the task's")
    (workspace / "file").symlink_to(tmp_path / "outside")
    look = os.stat

    def looked_before(path: Any, **options: Any) -> os.stat_result:
        return look(tmp_path / "outside") if path == "file" else look(path, **options)

    monkeypatch.setattr("os.stat", looked_before)
    files, left_out = packed(workspace.parents[1], "task")
    assert (files, left_out.names) == ({}, ["workspaces/task/file: it was replaced meanwhile"])


def test_a_file_that_shrinks_meanwhile_does_not_harm_the_others(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "a").write_text("12345678")
    (workspace / "b").write_text("whole")
    member = archive._member

    def shrunk(path: str, status: os.stat_result, kind: bytes) -> tarfile.TarInfo:
        if path.endswith("/a"):
            (workspace / "a").write_text("1234")
        return member(path, status, kind)

    monkeypatch.setattr(archive, "_member", shrunk)
    files, left_out = packed(workspace.parents[1], "task")
    assert files == {"workspaces/task/a": b"1234\0\0\0\0", "workspaces/task/b": b"whole"}
    assert left_out.names == ["workspaces/task/a: it shrank while it was read; its end is zeros"]


def test_folders_that_are_too_deep_are_told_and_harm_nobody(workspace: Path) -> None:
    deep = workspace.joinpath(*["d"] * (archive.MOST_DEPTH + 5))
    deep.mkdir(parents=True)
    (workspace / "file").write_text("x")
    files, left_out = packed(workspace.parents[1], "task")
    assert (files, left_out.count) == ({"workspaces/task/file": b"x"}, 1)
    assert left_out.names[0].endswith(f": more than {archive.MOST_DEPTH} levels of folders")


def test_names_that_are_no_text_are_packed(workspace: Path) -> None:
    (workspace / os.fsdecode(b"\xff\xfe")).write_text("x")
    files, _ = packed(workspace.parents[1], "task")
    assert list(files) == [os.fsdecode(b"workspaces/task/\xff\xfe")]


def test_without_a_server_no_files_are_left_beside_the_database(remit: CommandLine, medium: Path) -> None:
    remit("run", "true")
    remit("server", "stop")
    before = sorted(path.name for path in remit.home.iterdir())
    assert remit.json("backup", str(medium / "one.db"))["tasks"] == 1
    assert sorted(path.name for path in remit.home.iterdir()) == before


def test_the_changes_that_a_dead_server_left_are_backed_up_and_left_for_the_next(
    remit: CommandLine, medium: Path
) -> None:
    remit("run", "true")
    servers.kill(remit.home)
    changes = (remit.home / "remit.db-wal").read_bytes()
    assert remit.json("backup", str(medium / "one.db"))["tasks"] == 1
    assert (remit.home / "remit.db-wal").read_bytes() == changes
