"""Round trips of tool calls, against a bare server that answers the same bodies."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import database
from benchmarks.client import Window
from benchmarks.contestants import bare_window, settled, temporary_home, write_given
from benchmarks.effort import Effort
from benchmarks.measure import Row, Target, in_turn, milliseconds

MESSAGE = "$ echo 'a line of output'"
PROTOCOL_SHARE = 1.4  # of a bare round trip: what a tool call may cost before anything is stored
COMMIT_SHARE = 2  # of a bare commit of the same rows


def rows(effort: Effort) -> Iterator[Row]:
    """`get_task` and `create_task`."""
    with temporary_home() as home, home.window() as remit:
        yield _get_task(remit, home.path, effort.calls)
        yield from _create_task(remit, home.path, effort.calls)


def _get_task(remit: Window, folder: Path, rounds: int) -> Row:
    task = remit.call("create_task", message=MESSAGE)["id"]
    settled(remit, task)
    answer = remit.call("get_task", id=task)
    with _bare(remit, folder, "get_task", answer) as bare:
        assert bare.call("get_task", id=task) == answer
        measured, baseline = in_turn(
            rounds,
            lambda: milliseconds(lambda: remit.call("get_task", id=task)),
            lambda: milliseconds(lambda: bare.call("get_task", id=task)),
        )
    return Row(
        name="get_task, round trip",
        unit="ms",
        measured=measured,
        against="bare, the same body",
        baseline=baseline,
        target=Target("ratio", "≤", PROTOCOL_SHARE),
    )


def _create_task(remit: Window, folder: Path, rounds: int) -> Iterator[Row]:
    answer = _create(remit)
    settled(remit, answer["id"])
    with _bare(remit, folder, "create_task", answer) as bare, database.opened(folder / "bare.db") as db:
        measured, called, committed = in_turn(
            rounds,
            lambda: _creation(remit),
            lambda: milliseconds(lambda: _create(bare)),
            lambda: milliseconds(lambda: database.commit_task(db, MESSAGE)),
        )
    row = partial(Row, unit="ms", measured=measured)
    yield row(
        name="create_task, round trip, durable",
        against=f"{PROTOCOL_SHARE} bare + {COMMIT_SHARE} SQLite commits",
        baseline=[PROTOCOL_SHARE * one + COMMIT_SHARE * two for one, two in zip(called, committed, strict=True)],
        target=Target("ratio", "≤", 1.0),
    )
    yield row(name="  the same, against the call alone", against="bare, the same body", baseline=called)
    yield row(name="  the same, against the rows alone", against="bare SQLite, FULL", baseline=committed)


def _create(window: Window) -> dict[str, Any]:
    return window.call("create_task", message=MESSAGE, autoExecute=False)


def _creation(remit: Window) -> float:
    """Milliseconds of one creation; returns once the task waits for approval, since what follows is not its cost."""
    start = time.perf_counter()
    task = _create(remit)["id"]
    taken = (time.perf_counter() - start) * 1000
    settled(remit, task)
    return taken


@contextmanager
def _bare(remit: Window, folder: Path, name: str, answer: dict[str, Any]) -> Iterator[Window]:
    """A window on a bare server with remit's own definition of the tool, which answers `answer`."""
    [tool] = [tool for tool in remit.request("tools/list")["tools"] if tool["name"] == name]
    file = folder / f"{name}.json"
    write_given(file, tool, answer)
    with bare_window(given=file) as window:
        yield window
