"""A damaged database, and a folder that no database can lie in, are seen before anything is written."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from server.daemon import file_systems
from server.errors import Code, RemitError
from storage.sqlite.inspection import check
from storage.sqlite.migrations import MIGRATIONS
from tests import servers
from tests.daemon.conftest import META, ROOT
from tests.faults import small_disk

PAGE = 4096


def garbage(database: Path, at: int) -> None:
    """Write over two pages of a database."""
    with database.open("r+b") as file:
        file.seek(at)
        file.write(os.urandom(2 * PAGE))


def middle(database: Path) -> int:
    """Return where a page in the middle of it begins."""
    return database.stat().st_size // PAGE // 2 * PAGE


def doctor(home: Path) -> dict[str, dict[str, str]]:
    """Return what `remit doctor` finds, by name; that something is a problem is its exit status, too."""
    done = servers.command(home, "doctor", "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == (0 if answer["ready"] else 1)
    return {finding["name"]: finding for finding in answer["findings"]}


def problem(home: Path, name: str) -> str:
    """Return the problem that is found with one thing."""
    found = doctor(home)[name]["problem"]
    assert found
    return found


@pytest.fixture
def database(own_home: Path, task_id: str) -> Path:
    """A database that nobody is at work on."""
    return own_home / "remit.db"


def test_doctor_finds_a_database_whose_header_is_damaged(own_home: Path, database: Path) -> None:
    garbage(database, 0)
    found = problem(own_home, "database")
    assert "is damaged (file is not a database)" in found
    assert "remit restore" in found


def test_doctor_finds_a_database_with_a_damaged_page(own_home: Path, database: Path) -> None:
    garbage(database, middle(database))
    assert "is damaged" in problem(own_home, "database")


def test_doctor_finds_a_database_of_a_newer_version(own_home: Path, database: Path) -> None:
    with closing(sqlite3.connect(database)) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    assert "written by a newer remit" in problem(own_home, "database")


def test_a_database_with_an_impossible_version_is_found_and_refused_as_damaged(own_home: Path, database: Path) -> None:
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA user_version = -1")
    assert "is damaged (its version is -1)" in problem(own_home, "database")
    assert "is damaged (its version is -1)" in servers.command(own_home, "list").stderr


def test_doctor_finds_a_database_that_is_missing_beside_folders(own_home: Path, database: Path) -> None:
    database.unlink()
    assert "remit server adopt" in problem(own_home, "database")


def test_doctor_tells_of_folders_that_were_set_aside(own_home: Path, database: Path) -> None:
    (own_home / "lost" / "2020-01-01T00-00-00.000000Z" / "workspaces" / "old").mkdir(parents=True)
    assert "of tasks that it did not know then: 1" in str(doctor(own_home)["database"]["advice"])


def test_doctor_changes_nothing(own_home: Path, database: Path) -> None:
    before = {path: (path.lstat().st_mtime_ns, path.lstat().st_ctime_ns) for path in own_home.rglob("*")}
    doctor(own_home)
    assert {path: (path.lstat().st_mtime_ns, path.lstat().st_ctime_ns) for path in own_home.rglob("*")} == before


async def test_doctor_checks_a_database_that_a_server_is_at_work_on(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        await host.create("$ true")
        assert doctor(own_home)["database"]["problem"] is None


def test_a_start_after_a_kill_refuses_a_damaged_database(own_home: Path, database: Path) -> None:
    garbage(database, middle(database))
    database.with_name("remit.db-wal").touch()  # which a server that ends takes away
    refused = servers.command(own_home, "list")
    assert refused.returncode == 1
    assert "is damaged" in refused.stderr
    assert "remit restore" in refused.stderr


async def test_a_start_after_a_kill_takes_a_whole_database(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        await host.done("$ true")
        servers.kill(own_home)
    assert servers.command(own_home, "list").returncode == 0


def test_a_start_refuses_a_file_that_is_no_database(own_home: Path, database: Path) -> None:
    garbage(database, 0)
    refused = servers.command(own_home, "list")
    assert (refused.returncode, "remit restore" in refused.stderr) == (1, True)


def test_a_check_ends_in_its_time(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "large.db")) as db, db:
        db.execute("CREATE TABLE t AS SELECT zeroblob(96000000)")
    assert check(tmp_path / "large.db", 30)
    assert not check(tmp_path / "large.db", 0)


@contextmanager
def read_only_copy(home: Path, disk_folder: Path) -> Iterator[Path]:
    """Yield a copy of a state folder on a disk that has become read-only."""
    with small_disk(disk_folder) as disk:
        shutil.copytree(home, disk.folder / "state", ignore=shutil.ignore_patterns("remit.sock"))
        (disk.folder / "remit.toml").symlink_to(home.parent / "remit.toml")
        disk.close()
        yield disk.folder / "state"


@pytest.fixture
def read_only(tmp_path: Path, task_id: str, own_home: Path) -> Iterator[Path]:
    """A state folder that was used, on a disk that has become read-only."""
    with read_only_copy(own_home, tmp_path / "disk") as state:
        yield state


def test_a_read_only_state_folder_is_told_in_words_to_a_terminal(read_only: Path) -> None:
    done = servers.command(read_only, "list")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "cannot be written: Read-only file system" in done.stderr


def test_a_read_only_state_folder_is_told_in_words_to_a_host(read_only: Path) -> None:
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": META}})
    done = subprocess.run(
        [sys.executable, str(servers.LAUNCHER)],
        env=os.environ | {"REMIT_HOME": str(read_only)},
        input=f"{request}\n",
        capture_output=True,
        text=True,
        timeout=servers.PATIENCE,
        check=False,
    )
    assert "cannot be written: Read-only file system" in json.loads(done.stdout)["error"]["message"]
    assert "Traceback" not in done.stderr


def backed_up(home: Path, target: Path) -> int:
    """Return the number of tasks in a new backup."""
    done = servers.command(home, "backup", "--json", str(target))
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout)["tasks"])


def test_a_read_only_state_folder_can_be_backed_up(read_only: Path, tmp_path: Path) -> None:
    assert backed_up(read_only, tmp_path / "backup.db") == 1


def test_a_backup_of_a_read_only_state_folder_has_the_changes_that_a_dead_server_left(
    own_home: Path, task_id: str, tmp_path: Path
) -> None:
    servers.command(own_home, "run", "true")
    servers.kill(own_home)
    with read_only_copy(own_home, tmp_path / "disk") as state:
        assert backed_up(state, tmp_path / "backup.db") == 2


def test_doctor_finds_a_read_only_state_folder(read_only: Path) -> None:
    assert "Read-only file system" in problem(read_only, "state folder")


def test_the_file_system_of_a_folder_is_told_by_its_mount(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        assert file_systems.file_system(str(disk.folder)) == "tmpfs"


def test_mounts_are_read_as_the_kernel_writes_them() -> None:
    lines = (
        "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n",
        "41 35 0:52 / /home/with\\040space rw - nfs4 server:/export rw,vers=4.2\n",
        "44 35 0:60 / /far rw,nosuid - fuse.sshfs ann@far:/ rw\n",
    )
    assert dict(file_systems._types(iter(lines))) == {"36": "ext3", "41": "nfs4", "44": "fuse.sshfs"}


def test_a_folder_on_a_file_system_that_others_share_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = file_systems.file_system(str(tmp_path))
    monkeypatch.setattr(file_systems, "REMOTE", frozenset({here}))
    with pytest.raises(RemitError, match="set REMIT_HOME to a folder on a disk of this machine") as refusal:
        file_systems.refuse_remote(str(tmp_path))
    assert refusal.value.code is Code.FORBIDDEN


def test_a_server_does_not_start_on_such_a_file_system(own_home: Path) -> None:
    own_home.parent.chmod(0o700)
    script = (
        "import sys; from server.daemon import file_systems;"
        "file_systems.REMOTE = {file_systems.file_system(sys.argv[1])};"
        "from server.app import main; main(ready=sys.exit)"
    )
    argv = [sys.executable, "-c", script, str(own_home.parent)]
    environment = servers.environment(own_home)
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "is on a file system that other machines share" in done.stderr
    assert not (own_home / "remit.db").exists()
