"""A clock that is far ahead removes nothing, and it is said how to have it believed."""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests import servers
from tests.cli.command_line import CommandLine
from tests.needs import lacks
from tests.servers import LAUNCHER, Host

YEAR = 400 * 24 * 3600 * 1_000_000


def set_back(home: Path) -> None:
    """Move all times in the database 400 days back, as if the clock were 400 days ahead now."""
    with closing(sqlite3.connect(home / "remit.db", isolation_level=None)) as db:
        db.execute("UPDATE tasks SET completed_at = completed_at - ?", (YEAR,))
        db.execute("UPDATE clock SET latest = latest - ?", (YEAR,))


def find_faketime() -> Path | None:
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


async def until_logged(host: Host, home: Path, words: str) -> None:
    with anyio.fail_after(servers.PATIENCE):
        while words not in await anyio.Path(home / "server.log").read_text():
            await host.call("list_tasks")


async def test_history_is_kept_until_the_clock_is_believed(own_home: Path) -> None:
    remit = CommandLine(own_home, own_home.parent)
    async with servers.host(own_home) as host:
        task = await host.done("$ true")
        await host.call("list_tasks")
        await to_thread.run_sync(remit, "prune")  # the clock is looked at
        servers.kill(own_home)
    await to_thread.run_sync(set_back, own_home)
    async with servers.host(own_home) as host:
        await until_logged(host, own_home, "nothing that was kept long enough is removed")
        assert (await host.call("get_task", id=task["id"]))["status"] == "completed"
        told = await to_thread.run_sync(remit, "doctor")
        assert "400 days past the time that was seen here last" in told.stdout
        refused = await to_thread.run_sync(remit, "prune")
        assert (refused.returncode, "remit prune --now" in refused.stderr) == (1, True)
        assert (await host.call("get_task", id=task["id"]))["status"] == "completed"
        assert await to_thread.run_sync(remit.json, "prune", "--now") == {"removedCount": 1}
        assert "400 days past" not in (await to_thread.run_sync(remit, "doctor")).stdout


async def test_with_a_right_clock_what_is_due_is_removed_at_once(own_home: Path) -> None:
    remit = CommandLine(own_home, own_home.parent)
    async with servers.host(own_home) as host:
        await host.done("$ true")
        with closing(sqlite3.connect(own_home / "remit.db", isolation_level=None)) as db:
            db.execute("UPDATE tasks SET completed_at = completed_at - ?", (YEAR,))
        assert await to_thread.run_sync(remit.json, "prune") == {"removedCount": 1}


@pytest.mark.long
async def test_a_server_that_starts_400_days_ahead_removes_nothing(own_home: Path) -> None:
    library = find_faketime()
    if library is None:
        lacks("this needs libfaketime; Debian, Ubuntu: apt-get install faketime")
    async with servers.host(own_home) as host:
        task = await host.done("$ true")
        await to_thread.run_sync(servers.command, own_home, "prune")
        servers.kill(own_home)
    ahead = servers.environment(own_home) | {"LD_PRELOAD": str(library), "FAKETIME": "+400d", "REMIT_SERVER": "inline"}
    parameters = StdioServerParameters(
        command=sys.executable, args=[str(LAUNCHER)], env=ahead, cwd=os.fspath(own_home.parent)
    )
    async with Client(stdio_client(parameters)) as client:
        host = Host(client, own_home)
        await until_logged(host, own_home, "nothing that was kept long enough is removed")
        assert (await host.call("get_task", id=task["id"]))["status"] == "completed"
