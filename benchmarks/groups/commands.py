"""Shell tasks, against the same commands in the same sandbox without a server."""

import time
from collections.abc import Iterator
from functools import partial

import anyio

from benchmarks.client import Window
from benchmarks.contestants import all_settled, settled, temporary_home
from benchmarks.effort import Effort
from benchmarks.measure import NotMeasured, Row, Target, in_turn
from benchmarks.sandbox import BareSandbox, bare_sandbox
from server.config import Settings

COMMAND = "echo 'the first output'"
TRIVIAL = "true"


def rows(effort: Effort) -> Iterator[Row]:
    """The first output of one task, and tasks per second. Raises NotMeasured where the sandbox is not bubblewrap's."""
    with temporary_home() as home, home.window() as remit:
        if remit.call("list_agents")["sandbox"] != "namespaces":
            raise NotMeasured("the sandbox here is not bubblewrap's, and the others have no bare counterpart")
        workspace = home.path / "workspace"
        workspace.mkdir()
        bare = anyio.run(bare_sandbox, workspace)
        yield _first_output(remit, bare, effort)
        yield _throughput(remit, bare, effort)


def _first_output(remit: Window, bare: BareSandbox, effort: Effort) -> Row:
    measured, baseline = in_turn(
        effort.commands, partial(_until_output, remit, COMMAND), partial(bare.first_output, COMMAND)
    )
    return Row(
        name="create_task to the first output",
        unit="ms",
        measured=measured,
        against="bare bwrap … sh -c",
        baseline=baseline,
        target=Target("difference", "≤", 25),
    )


def _until_output(remit: Window, command: str) -> float:
    """Milliseconds until a host that follows the task sees output; returns when the task has ended."""
    start = time.perf_counter()
    task = remit.call("create_task", message=f"$ {command}")["id"]
    seen = 0
    while (
        not (view := remit.call("get_task", id=task, waitSeconds=45, afterEvent=seen)).get("output", {}).get("content")
    ):
        seen = view["lastEvent"]
    taken = (time.perf_counter() - start) * 1000
    settled(remit, task)
    return taken


def _throughput(remit: Window, bare: BareSandbox, effort: Effort) -> Row:
    at_once: int = Settings.model_fields["max_running"].default
    measured, baseline = in_turn(
        effort.batches,
        partial(_per_second, remit, TRIVIAL, effort.batch),
        partial(bare.per_second, TRIVIAL, effort.batch, at_once),
    )
    return Row(
        name=f"trivial shell tasks, {at_once} at once",
        unit="1/s",
        measured=measured,
        against="the same sandbox in a loop",
        baseline=baseline,
        target=Target("ratio", "≥", 0.6),
    )


def _per_second(remit: Window, command: str, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        remit.call("create_task", message=f"$ {command}")
    all_settled(remit)
    return count / (time.perf_counter() - start)
