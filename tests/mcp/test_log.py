"""The log of a server that writes JSON."""

import json
from pathlib import Path
from typing import Any

from tests import servers

SECRET = "canary-in-a-log"


async def test_records_have_the_ids_of_task_run_and_call(own_home: Path) -> None:
    async with servers.host(own_home, REMIT_LOG_FORMAT="json") as host:
        task = await host.done("$ true")
    (call,) = task["output"]["toolCalls"]
    records = _records(own_home)
    ids = {"task": task["id"], "run": 1}
    assert _about(records, "the call ended: success") == ids | {"call": call["callId"]}
    assert _about(records, "the run ended after") == ids


async def test_what_is_about_no_task_has_no_ids(own_home: Path) -> None:
    async with servers.host(own_home, REMIT_LOG_FORMAT="json") as host:
        await host.done("$ true")
    assert _about(_records(own_home), "listening, pid") == {}


async def test_no_line_holds_a_secret(own_home: Path) -> None:
    async with servers.host(own_home, REMIT_LOG_FORMAT="json") as host:
        await host.done('$ echo "$KEY"; exit 3', secrets={"KEY": SECRET})
    assert SECRET not in (own_home / "server.log").read_text()


def _records(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "server.log").read_text().splitlines()]


def _about(records: list[dict[str, Any]], message: str) -> dict[str, Any]:
    """Return the ids of the one record whose message begins so."""
    (found,) = [record for record in records if record["message"].startswith(message)]
    return {name: found[name] for name in ("task", "run", "call") if name in found}
