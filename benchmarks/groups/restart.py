"""The start of a server that finds open tasks, against one that finds none."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from benchmarks import database
from benchmarks.contestants import Home, temporary_home
from benchmarks.effort import Effort
from benchmarks.groups.windows import opened
from benchmarks.measure import Row, Target, in_turn
from storage.records.calls import NewCall
from storage.records.masked import MaskedArgs, MaskedText
from storage.records.outcomes import Pause
from storage.sqlite.operations import calls, run_ends, runs

COMMAND = "echo 'not before it is approved'"


def rows(effort: Effort) -> Iterator[Row]:
    """Half of the tasks wait for approval; the others need secrets that the server's end has lost."""
    with temporary_home() as empty, temporary_home() as full:
        _fill(full.path, effort.open_tasks)
        measured, baseline = in_turn(
            effort.restarts, lambda: _restarted(full, effort.open_tasks), lambda: _restarted(empty, 0)
        )
    yield Row(
        name=f"start with {effort.open_tasks} open tasks to tools/list",
        unit="ms",
        measured=measured,
        against="the same with none",
        baseline=baseline,
        target=Target("difference", "≤", 1000),
    )


def _restarted(home: Home, tasks: int) -> float:
    """Milliseconds until a window that has to start the server has its tools; the folder is then as before."""
    saved = home.path / "saved.db"
    if saved.exists():
        shutil.copy(saved, home.path / "remit.db")
    try:
        taken = opened(home.window())
        with home.window() as window:
            assert window.call("list_tasks", limit=1)["total"] == tasks
    finally:
        home.stop()
    return taken


def _fill(folder: Path, count: int) -> None:
    """Leave `count` open tasks, their workspaces, and a copy of the database: the first start settles them."""
    with database.opened(folder / "saved.db") as db:
        db.execute("BEGIN")
        ids = [_wait_for_approval(db) for _ in range(count // 2)]
        ids += [database.insert_task(db, COMMAND, secrets={"TOKEN": "literal"}) for _ in range(count - len(ids))]
        db.execute("COMMIT")
    for task in ids:
        (folder / "workspaces" / task / "uploads").mkdir(parents=True)


def _wait_for_approval(db: sqlite3.Connection) -> str:
    """A task as it is once its agent has asked to run its command."""
    task = database.insert_task(db, COMMAND)
    claim = runs.claim(db, "benchmarks", database.now())
    assert claim
    assert claim.task.id == task
    call = NewCall(
        key=MaskedText("1"),
        id=f"call_{task}",
        tool_name=MaskedText("shell"),
        args=MaskedArgs({"command": COMMAND}),
        digest="0" * 64,
        similar=[],
        description=MaskedText(f"Run: {COMMAND}"),
    )
    [announced] = calls.announce(db, claim.run, [call], database.now())
    calls.begin(db, claim.run, announced.id, None, database.now())
    run_ends.end(db, claim.run, Pause.SUSPENDED, 0, database.now())
    return task
