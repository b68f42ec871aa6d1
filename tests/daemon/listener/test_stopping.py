"""The end of a state folder's owner, on request or when idle."""

import os
import signal

import anyio
import pytest

from server.daemon import listener
from server.daemon.listener import Load
from server.daemon.paths import StatePaths
from server.errors import Code, RemitError
from tests.daemon.conftest import PATIENCE
from tests.daemon.listener.clients import client, served, stopped
from tests.daemon.stand_in import Obedient


async def test_stop_ends_an_idle_server_and_takes_its_socket_away(paths: StatePaths) -> None:
    async with served(paths), client(paths) as window, client(paths) as peer:
        await window.greet()
        assert "error" not in await peer.greet(op="stop")
        await window.ended()
        await stopped(paths)
        assert not await anyio.Path(paths.socket).exists()


@pytest.mark.parametrize("work", [Load(1, 0, 0), Load(0, 0, 1)])
async def test_a_busy_server_refuses_to_stop(paths: StatePaths, work: Load) -> None:
    async with served(paths) as application, client(paths) as peer, client(paths) as other:
        application.work = work
        assert (await peer.greet(op="stop"))["error"]["code"] == "CONFLICT"
        assert (await other.greet(op="status"))["running"] == work.running


async def test_a_busy_server_can_be_forced_to_stop(paths: StatePaths) -> None:
    async with served(paths) as application, client(paths) as peer:
        application.work = Load(running=1, waiting=0, secrets_held=1)
        await peer.greet(op="stop", force=True)
        await stopped(paths)


async def test_tasks_that_wait_do_not_keep_a_server_from_stopping(paths: StatePaths) -> None:
    async with served(paths) as application, client(paths) as peer:
        application.work = Load(running=0, waiting=5, secrets_held=0)
        assert (await peer.greet(op="stop"))["waiting"] == 5
        await stopped(paths)


async def test_a_peer_that_does_not_read_does_not_keep_the_server_from_stopping(paths: StatePaths) -> None:
    async with served(paths), client(paths) as deaf, client(paths) as peer:
        await deaf.greet()
        await deaf.send({"id": 1, "method": "echo", "params": {"text": "x" * 10_000_000}})
        await deaf.stream.receive(1)  # the answer has begun
        await peer.greet(op="stop")
        await stopped(paths)


async def test_sigterm_stops_it(paths: StatePaths) -> None:
    async with served(paths), client(paths) as peer:
        await peer.greet(op="status")
        os.kill(os.getpid(), signal.SIGTERM)
        await stopped(paths)


async def test_it_ends_when_nobody_is_connected_any_more(paths: StatePaths) -> None:
    async with served(paths, idle_exit=0):
        async with client(paths) as peer:
            await peer.greet()
            await peer.call(1, "echo")
        await stopped(paths)


async def test_it_ends_when_whoever_started_it_never_comes(paths: StatePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "FIRST_VISIT", 0.01)
    async with served(paths, idle_exit=0.2):
        await stopped(paths)


async def test_it_stays_while_somebody_is_connected(paths: StatePaths) -> None:
    async with served(paths, idle_exit=0), client(paths) as peer:
        await peer.greet()
        async with client(paths) as other:
            await other.greet()
        with anyio.move_on_after(5 * listener.RECHECK):
            await peer.ended()
        assert (await peer.call(1, "echo"))["id"] == 1


async def test_it_stays_while_there_is_work_and_ends_after_it(paths: StatePaths) -> None:
    async with served(paths, idle_exit=0) as application:
        async with client(paths) as peer:
            await peer.greet()
            await peer.call(1, "work", running=1, secretsHeld=0)
        with pytest.raises(TimeoutError), anyio.fail_after(5 * listener.RECHECK):
            await stopped(paths)
        application.work = Load(running=0, waiting=0, secrets_held=0)
        await stopped(paths)


async def test_a_look_at_the_work_that_fails_does_not_end_the_server(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    again, failures = anyio.Event(), iter([RemitError(Code.EXECUTION_ERROR, "the database failed"), OSError("it")])

    async def load(_: Obedient) -> Load:
        for failure in failures:
            raise failure
        again.set()
        return Load(running=0, waiting=0, secrets_held=0)

    monkeypatch.setattr(Obedient, "load", load)
    monkeypatch.setattr(listener, "FIRST_VISIT", 0)
    async with served(paths, idle_exit=0):
        with anyio.fail_after(PATIENCE):
            await again.wait()
