"""One server per state folder, found by its lock, whatever happens to the files in the folder and to who starts it."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from server.cli.commands import server as commands
from server.daemon import launch
from server.daemon.ownership import Owned, Owner, Ownership, Purpose, owner
from server.daemon.paths import StatePaths
from server.errors import Code, RemitError
from tests.daemon.conftest import META, PATIENCE, ROOT, Checkout, Launcher, Window, held, servers
from tests.runner.commands import processes_with, until
from tests.servers import command, wait

OWN = """
import sys
from server.daemon.ownership import Ownership, Purpose
from server.daemon.paths import StatePaths
with Ownership(StatePaths(sys.argv[1], ""), Purpose[sys.argv[2]]):
    print(flush=True)
    sys.stdin.read()
"""
"""A server that never listens, as far as others can see, or a command that changes the state folder."""


@contextmanager
def owning(paths: StatePaths, purpose: Purpose) -> Iterator[int]:
    """Yield the pid of a process that owns the state folder and does not listen."""
    argv = [sys.executable, "-c", OWN, paths.state, purpose.name]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield process.pid


@pytest.fixture
def silent(paths: StatePaths) -> Iterator[int]:
    with owning(paths, Purpose.SERVER) as pid:
        yield pid


@pytest.fixture(params=[Purpose.RESTORE, Purpose.ADOPT])
def upkeep(request: pytest.FixtureRequest, paths: StatePaths) -> Iterator[int]:
    """The pid of a command that changes the state folder."""
    with owning(paths, request.param) as pid:
        yield pid


def under_way(pid: int) -> str:
    return f"is under way (process {pid}); wait until it has ended"


@pytest.mark.parametrize("purpose", Purpose)
def test_the_owner_is_told_by_the_kernel(paths: StatePaths, purpose: Purpose) -> None:
    with owning(paths, purpose) as pid:
        Path(paths.server_lock).write_text("1\n")
        assert owner(paths) == (pid, purpose)


def test_the_purpose_of_one_that_was_killed_is_not_taken_for_its_successors(paths: StatePaths) -> None:
    with owning(paths, Purpose.RESTORE) as killed:
        os.kill(killed, signal.SIGKILL)
    with owning(paths, Purpose.SERVER) as pid:
        assert owner(paths) == (pid, Purpose.SERVER)


def test_owners_of_any_purpose_exclude_each_other(paths: StatePaths, upkeep: int) -> None:
    for purpose in Purpose:
        with pytest.raises(Owned) as refusal, Ownership(paths, purpose):
            pass
        assert under_way(upkeep) in refusal.value.message


def test_status_says_that_a_command_is_at_work_on_the_folder(
    home: Path, upkeep: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.status(json=False) == 1
    assert under_way(upkeep) in capsys.readouterr().out


@pytest.mark.parametrize("force", [False, True])
def test_stop_kills_no_command_that_is_at_work_on_the_folder(
    upkeep: int, force: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "FORCED", 0.1)
    assert commands.stop(force=force, json=False) == 1
    assert capsys.readouterr().err.endswith(f"{under_way(upkeep)}\n")
    os.kill(upkeep, 0)


def test_a_forced_stop_kills_no_command_that_comes_while_it_waits(
    paths: StatePaths, silent: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def succeeded(_: StatePaths, *, force: bool) -> None:
        raise RemitError(Code.TIMEOUT, "the server did not end in time")

    monkeypatch.setattr(commands, "_asked", succeeded)
    monkeypatch.setattr(commands, "owner", lambda _: Owner(silent, Purpose.RESTORE))
    assert commands.stop(force=True, json=False) == 1
    os.kill(silent, 0)


def test_a_backup_is_refused_while_a_command_is_at_work_on_the_folder(home: Path, upkeep: int, tmp_path: Path) -> None:
    done = command(home, "backup", str(tmp_path / "one.db"))
    assert (done.returncode, under_way(upkeep) in done.stderr) == (1, True)


def test_doctor_says_that_a_command_is_at_work_on_the_folder_and_not_to_kill_it(home: Path, upkeep: int) -> None:
    found = json.loads(command(home, "doctor", "--json").stdout)["findings"]
    (server,) = [finding for finding in found if finding["name"] == "server"]
    assert under_way(upkeep) in server["problem"]
    assert "--force" not in server["problem"]


def test_a_window_that_waits_for_a_command_in_vain_says_so(
    paths: StatePaths, upkeep: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "PATIENCE", 0.1)
    with pytest.raises(RemitError) as refusal:
        launch.connect("pipe", paths)
    assert under_way(upkeep) in refusal.value.message


def test_a_lock_that_a_killed_server_left_has_no_owner(paths: StatePaths) -> None:
    Path(paths.server_lock).write_text(f"{os.getppid()}\n")
    assert owner(paths) is None


async def test_a_window_finds_a_server_whose_socket_was_deleted(checkout: Checkout, home: Path) -> None:
    await (await checkout.window()).call(1, "echo")
    before = servers(home)
    (home / "remit.sock").unlink()
    window = await checkout.window()
    assert (await window.call(1, "echo"))["result"] == {}
    assert servers(home) == before


async def test_a_lock_that_was_deleted_is_there_again_and_lets_no_second_server_in(
    checkout: Checkout, home: Path
) -> None:
    await (await checkout.window()).call(1, "echo")
    (pid,) = servers(home)
    for name in ("remit.sock", "server.lock"):
        (home / name).unlink()
    window = await checkout.window()
    assert (await window.call(1, "echo"))["result"] == {}
    assert servers(home) == [pid]
    assert (home / "server.lock").read_text() == f"{pid}\n"


async def test_a_server_whose_folder_was_deleted_ends_and_leaves_the_next_ones_socket(
    checkout: Checkout, home: Path
) -> None:
    first = await checkout.window()
    await first.call(1, "echo")
    (old,) = servers(home)
    shutil.rmtree(home)
    await (await checkout.window()).call(1, "echo")
    (new,) = set(servers(home)) - {old}
    await to_thread.run_sync(wait, old)
    assert (await (await checkout.window()).call(1, "echo"))["result"] == {}
    assert (await first.call(2, "echo"))["result"] == {}
    assert servers(home) == [new]


def _delete(home: Path) -> None:
    shutil.rmtree(home)


def _move(home: Path) -> None:
    home.rename(home.with_name("moved"))


def _replace_database(home: Path) -> None:
    shutil.copy(home / "remit.db", home / "copy")
    (home / "copy").replace(home / "remit.db")


@pytest.mark.parametrize("happen", [_delete, _move, _replace_database])
async def test_tasks_end_with_a_server_that_has_lost_its_folder_or_its_database(
    real: Launcher, home: Path, happen: Callable[[Path], None]
) -> None:
    window = await real.window()
    await _create(window, "$ sleep 4321.5")
    await until(lambda: processes_with("4321.5"))
    (pid,) = servers(home)
    happen(home)
    await to_thread.run_sync(wait, pid)
    assert processes_with("4321.5") == []


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
async def test_a_server_ends_without_a_loss_when_what_sqlite_has_beside_the_database_is_deleted(
    real: Launcher, home: Path, suffix: str
) -> None:
    window = await real.window()
    (pid,) = await _served(window, home)
    (home / f"remit.db{suffix}").unlink()
    await _create(window, "$ echo acknowledged")
    await to_thread.run_sync(wait, pid)
    listed = await window.call(3, "tools/call", name="list_tasks", arguments={}, _meta=META)
    (task,) = listed["result"]["structuredContent"]["tasks"]
    assert "acknowledged" in task["message"]


async def test_a_server_that_lost_its_folder_says_so_in_its_log(real: Launcher, home: Path) -> None:
    window = await real.window()
    await _create(window, "$ true")
    (pid,) = servers(home)
    _move(home)
    await to_thread.run_sync(wait, pid)
    log = (home.with_name("moved") / "server.log").read_text()
    assert f"stopping: the state folder {home} was removed, or moved" in log


def test_status_names_an_owner_that_does_not_listen(
    home: Path, silent: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.status(json=False) == 1
    assert f"does not listen there (pid {silent})" in capsys.readouterr().out
    assert commands.status(json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert told == {"state": str(home), "server": None, "owner": silent, "purpose": "server"}


def test_stop_of_an_owner_that_does_not_listen_is_refused_with_the_way_to_do_it(
    silent: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "SILENCE", 0.1)
    assert commands.stop(force=False, json=False) == 1
    told = capsys.readouterr().err
    assert f"(pid {silent})" in told
    assert "--force" in told
    os.kill(silent, 0)


def test_a_forced_stop_kills_an_owner_that_does_not_listen(
    silent: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "FORCED", 0.1)
    process = os.pidfd_open(silent)
    try:
        assert commands.stop(force=True, json=False) == 0
        assert select.select([process], [], [], 0)[0]
    finally:
        os.close(process)
    assert capsys.readouterr().out.startswith(f"killed (pid {silent}): ")


def test_a_forced_stop_kills_nobody_whose_number_a_dead_server_left(
    paths: StatePaths, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander:
        Path(paths.server_lock).write_text(f"{bystander.pid}\n")
        assert commands.stop(force=True, json=False) == 0
        assert bystander.poll() is None
        bystander.kill()
    assert "no server runs" in capsys.readouterr().out


async def test_a_server_that_hangs_is_killed_by_a_forced_stop_and_what_it_ran_with_it(
    real: Launcher, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "FORCED", 1)
    window = await real.window()
    await _create(window, "$ sleep 4321.6")
    await until(lambda: processes_with("4321.6"))
    (pid,) = servers(home)
    os.kill(pid, signal.SIGSTOP)
    assert commands.stop(force=True, json=True) == 0
    await until(lambda: not processes_with("4321.6"))
    assert (await window.call(2, "tools/call", name="list_tasks", arguments={}, _meta=META))["result"]


async def test_a_window_killed_while_its_server_starts_does_not_keep_the_next_one_from_its_own(
    checkout: Checkout, home: Path, tmp_path: Path
) -> None:
    first, second = _gate(tmp_path / "first"), _gate(tmp_path / "second")
    killed = await _started(checkout, home, 1, REMIT_GATE_BEFORE_OWNING=str(first))
    killed.process.kill()
    await killed.process.wait()
    window = await _started(checkout, home, 2, REMIT_GATE_BEFORE_OWNING=str(second))
    await _open(first)
    await until(lambda: (home / "remit.sock").exists())
    await _open(second)
    assert (await window.answer())["result"] == {}
    await until(lambda: len(servers(home)) == 1)


async def test_a_window_killed_while_its_server_starts_leaves_it_to_the_next_one(
    checkout: Checkout, home: Path, tmp_path: Path
) -> None:
    gate = await _killed_before_its_server_listens(checkout, home, tmp_path)
    window = await checkout.window()
    await window.ask(1, "echo")
    await held(home / "start.lock")
    before = servers(home)
    await _open(gate)
    assert (await window.answer())["result"] == {}
    assert servers(home) == before


async def test_an_inline_window_finds_the_server_of_a_window_that_was_killed(
    checkout: Checkout, home: Path, tmp_path: Path
) -> None:
    gate = await _killed_before_its_server_listens(checkout, home, tmp_path)
    window = await checkout.window(REMIT_SERVER="inline")
    await window.ask(1, "echo")
    await held(home / "start.lock")
    await _open(gate)
    assert (await window.answer())["result"] == {}


def _gate(path: Path) -> Path:
    os.mkfifo(path)
    return path


async def _open(gate: Path) -> None:
    with anyio.fail_after(PATIENCE):
        await anyio.Path(gate).write_bytes(b"")


async def _started(checkout: Checkout, home: Path, number: int, **environment: str) -> Window:
    """Return a window that has asked something, and waits for its server, which is one of so many."""
    window = await checkout.window(cwd=None, **environment)
    await window.ask(1, "echo")
    await until(lambda: len(servers(home)) == number)
    return window


async def _killed_before_its_server_listens(checkout: Checkout, home: Path, tmp_path: Path) -> Path:
    """Kill a window whose server owns the folder; returns the gate that this server waits at before it listens."""
    gate = _gate(tmp_path / "gate")
    killed = await _started(checkout, home, 1, REMIT_GATE_BEFORE_LISTENING=str(gate))
    await until(lambda: (home / "server.lock").exists() and (home / "server.lock").read_text())
    killed.process.kill()
    await killed.process.wait()
    return gate


async def _served(window: Window, home: Path) -> list[int]:
    """Return the pid of the server that serves a window."""
    await window.call("first", "tools/call", name="list_agents", arguments={}, _meta=META)
    return servers(home)


async def _create(window: Window, message: str) -> None:
    answer = await window.call(1, "tools/call", name="create_task", arguments={"message": message}, _meta=META)
    assert "error" not in answer
