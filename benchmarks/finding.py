"""The lists that are measured: every filter alone, the listed pairs, and each of these with dates."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import population
from benchmarks.database import LOCAL
from server.tasks.requests.arguments import read
from server.tasks.requests.listing import ListTasks
from server.tasks.views import list_view
from storage.records.lists import NOTHING, Position

TALLIED, COUNTED = "status", "toDate"
"""A list of which a tally is kept, and one whose tasks are counted one by one."""

_FEW = 500
"""Tasks in a short time: how long it is goes by how many there are."""

_PAIRS: dict[str, dict[str, Any]] = {
    "status, taskListId": {"status": "completed", "taskListId": population.LISTS[0]},
    "status, assignedAgentId": {"status": "completed", "assignedAgentId": population.WORKERS[0]},
    "status, agentId": {"status": "completed", "agentId": "shell"},
    "taskListId, assignedAgentId": {
        "taskListId": population.LISTS[0],
        "assignedAgentId": population.WORKERS[0],
    },
}
_SINGLE: dict[str, dict[str, Any]] = {
    "nothing": {},
    "status": {"status": "completed"},
    "five statuses": {"status": ["pending", "blocked", "running", "awaiting_approval", "paused"]},
    "agentId": {"agentId": "shell"},
    "taskListId": {"taskListId": population.LISTS[0]},
    "assignedAgentId": {"assignedAgentId": population.WORKERS[0]},
    "triggeringAgentId": {"triggeringAgentId": population.CALLERS[0]},
    "internalStatus": {"internalStatus": population.STAGES[0]},
}
_UNINDEXED: dict[str, dict[str, Any]] = {
    "four filters of no index": {
        "agentId": "shell",
        "assignedAgentId": population.WORKERS[0],
        "triggeringAgentId": population.CALLERS[-1],
        "internalStatus": population.STAGES[-1],
    },
}


@dataclass(frozen=True, slots=True)
class Find:
    """One list: the arguments of list_tasks, and where its middle is, if it is long enough to have one."""

    name: str
    arguments: dict[str, Any]
    middle: Position | None
    listed: bool
    """Whether its time is to stay the same however many tasks there are."""

    @property
    def request(self) -> ListTasks:
        """The arguments as the tool takes them."""
        return read(ListTasks, self.arguments)

    def cursor(self) -> str:
        """What the tool would give to go on from the middle."""
        assert self.middle
        page = replace(NOTHING, next=self.middle)
        return list_view.page(self.request, LOCAL, page)["nextCursor"]


def finds(path: Path) -> Iterator[Find]:
    """The lists of a population; the same for each but for what names a task or a word."""
    with closing(sqlite3.connect(path)) as db:
        first, last, count = db.execute("SELECT min(created_at), max(created_at), count(*) FROM tasks").fetchone()
        times = _times(db, first, last, count)
        for name, arguments in _SINGLE.items():
            yield Find(name, arguments, Position((first + last) // 2, 0), listed=True)
        for name, arguments in {"": {}, **_PAIRS}.items():
            for dates, (begin, end) in times.items():
                if not name and not dates:
                    continue
                given = arguments | _dates(begin, end)
                middle = Position(((begin or first) + (end or last)) // 2, 0)
                yield Find(", ".join(filter(None, (name, dates))), given, middle, listed=True)
        for name, arguments in _of_tasks(db).items():
            yield Find(name, arguments, None, listed=True)
        one, two = _words(db)
        yield Find("query, a frequent word", {"query": one}, Position(0, count // 2), listed=True)
        yield Find("query, two frequent words", {"query": f"{one} {two}"}, Position(0, count // 2), listed=True)
        for name, arguments in _UNINDEXED.items():
            yield Find(name, arguments, None, listed=False)


def _times(db: sqlite3.Connection, first: int, last: int, count: int) -> dict[str, tuple[int | None, int | None]]:
    middle = (first + last) // 2
    return {
        "": (None, None),
        "fromDate": (middle, None),
        "toDate": (None, middle),
        "both": (first + (last - first) // 4, first + (last - first) * 3 // 4),
        f"both, the time of {_FEW} tasks": _time_of_few(db, count),
    }


def _time_of_few(db: sqlite3.Connection, count: int) -> tuple[int, int]:
    begin = max(1, count // 2 - _FEW)
    row = db.execute(
        "SELECT min(created_at), max(created_at) FROM tasks WHERE seq BETWEEN ? AND ?", (begin, begin + _FEW - 1)
    )
    begin, end = row.fetchone()
    return begin, end


def _dates(begin: int | None, end: int | None) -> dict[str, str]:
    given = {"fromDate": begin, "toDate": end}
    return {name: datetime.fromtimestamp(at / 1e6, UTC).isoformat() for name, at in given.items() if at is not None}


def _of_tasks(db: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """What is found by another task: one with the most sub-tasks, and one that somebody waits for."""
    (parent,) = db.execute(
        """SELECT id FROM tasks WHERE seq =
               (SELECT parent FROM tasks WHERE parent IS NOT NULL GROUP BY parent ORDER BY count(*) DESC LIMIT 1)"""
    ).fetchone()
    (needed,) = db.execute("SELECT id FROM tasks WHERE seq = (SELECT max(needs) FROM dependencies)").fetchone()
    return {"parentTaskId": {"parentTaskId": parent}, "dependsOn": {"dependsOn": needed, "includeDetails": True}}


def _words(db: sqlite3.Connection) -> tuple[str, str]:
    messages = db.execute("SELECT message FROM tasks LIMIT 500").fetchall()
    (one, _), (two, _) = Counter(word for (text,) in messages for word in text.split()[2:]).most_common(2)
    return one, two
