"""How soon calls are answered while a task beside them misbehaves."""

import math
from collections.abc import Iterator, Sequence

from benchmarks.client import Window
from benchmarks.contestants import temporary_home
from benchmarks.effort import Effort
from benchmarks.measure import NotMeasured, Row, Target, milliseconds

MISBEHAVIOURS = {
    "a fork bomb": "bomb() { bomb | bomb & }; bomb; sleep 60",
    "64 busy processes": "for i in $(seq 64); do (while :; do :; done) & done; wait",
    "endless allocation": "exec python3 -c 'x = []\nwhile True: x.append(bytearray(2**20))'",
    "endless output": "yes a line of output that nobody reads",
    "one endless line": "tr '\\0' x < /dev/zero",
    "a full /tmp": "while :; do cat /dev/zero > /tmp/file; done 2> /dev/null",
}
LIMIT_MS = 150  # what the sandbox promises for the slowest call of a hundred


def rows(effort: Effort) -> Iterator[Row]:
    """The 99th percentile of get_task, beside each of them. Raises NotMeasured where no task can run."""
    with temporary_home() as home, home.window() as remit:
        if not remit.call("list_agents")["sandbox"]:
            raise NotMeasured("no task can be run here")
        asked = remit.call("create_task", message="nothing", agentId="none")["id"]
        for name, command in MISBEHAVIOURS.items():
            taken = list(_beside(remit, command, asked, effort.calls))
            yield Row(
                name=f"get_task beside {name}, p99",
                unit="ms",
                measured=[p99(taken)],
                target=Target("value", "≤", LIMIT_MS),
            )


def p99(series: Sequence[float]) -> float:
    """The 99th percentile by nearest rank: with fewer than 100 values, the greatest."""
    return sorted(series)[math.ceil(0.99 * len(series)) - 1]


def _beside(remit: Window, command: str, asked: str, calls: int) -> Iterator[float]:
    """Milliseconds of each call while such a task runs; one that a limit has ended is followed by another."""
    task = _begun(remit, command)
    for _ in range(calls):
        yield milliseconds(lambda: remit.call("get_task", id=asked))
        if remit.call("get_task", id=task)["status"] not in ("pending", "running"):
            task = _begun(remit, command)
    remit.call("cancel_task", id=task)


def _begun(remit: Window, command: str) -> str:
    task: str = remit.call("create_task", message=f"```sh\n{command}\n```")["id"]
    remit.call("get_task", id=task, waitSeconds=5, afterEvent=1)
    return task
