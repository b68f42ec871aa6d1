"""Many tasks at once, in remit's own schema: a year of mixed work, triggers and all, kept between runs."""

import json
import random
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Any
from uuid import UUID

from benchmarks import database
from server.tasks.sessions import time_ordered_id
from storage.records.states import REPORTED, Status
from storage.sqlite.migrations import MIGRATIONS

FOLDER = Path(__file__).with_name("populations")
"""Where they are kept, as `TASKS-SCHEMA.db`; a run works on copies. 1,000,000 tasks take 3.1 GB, and some minutes."""

YEAR = 365 * 24 * 3600 * 1_000_000
_SECOND = 1_000_000
_CHUNK = 2_000

LISTS = [f"list-{number}" for number in range(12)]
PROJECT = 200
"""Tasks of a project: a list of its own, in which each second task waits for the one before."""

WORKERS = [f"worker-{number}" for number in range(12)]
CALLERS = [f"caller-{number}" for number in range(8)]
STAGES = [f"stage-{number}" for number in range(8)]
_VOCABULARY = 5_000
AGENTS = {"shell": 0.7, "none": 0.2, "claude": 0.1}
_ENDS = {Status.COMPLETED: 0.82, Status.FAILED: 0.12, Status.CANCELLED: 0.06}
_OPEN = {Status.PENDING: 0.3, Status.RUNNING: 0.3, Status.BLOCKED: 0.4}

Values = dict[str, Any]


_WORTH_KEEPING = 10_000
"""Tasks; fewer are made anew each time, in a few seconds."""


def copy(tasks: int, target: Path) -> None:
    """Put a database with so many tasks at `target`; the first time a large one has to be made."""
    if tasks < _WORTH_KEEPING:
        _make(tasks, target)
        return
    kept = FOLDER / f"{tasks}-{len(MIGRATIONS)}.db"
    if not kept.exists():
        FOLDER.mkdir(exist_ok=True)
        making = kept.with_suffix(".making")
        making.unlink(missing_ok=True)
        _make(tasks, making)
        making.rename(kept)
    shutil.copy(kept, target)


def _zipf(names: Sequence[str]) -> list[float]:
    """Running totals of weights by which the second name is half as frequent as the first, the third a third, …"""
    return list(accumulate(1 / rank for rank in range(1, len(names) + 1)))


def _halves(names: Sequence[str]) -> list[float]:
    """Running totals of weights by which each name is half as frequent as the one before."""
    return list(accumulate(0.5**rank for rank in range(len(names))))


# The first of each is so frequent that among a thousand tasks, too, a page is full of it.
_FREQUENT = {tuple(names): _halves(names) for names in (LISTS, WORKERS, CALLERS, STAGES)}


def _make(tasks: int, path: Path) -> None:
    with database.opened(path) as db:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("PRAGMA cache_size = -2000000")
        db.execute("INSERT INTO principals VALUES (?, ?, ?)", (database.LOCAL.id, database.LOCAL.name, 0))
        made = _tasks(random.Random(2026), tasks, database.now())
        while some := list(islice(made, _CHUNK)):
            db.execute("BEGIN")
            _insert(db, some)
            db.execute("COMMIT")
        broken = db.execute("PRAGMA foreign_key_check").fetchone()
        assert broken is None, tuple(broken)


@dataclass(frozen=True, slots=True)
class Made:
    """One task with what belongs to it, as rows."""

    task: Values
    needs: int | None
    turns: list[tuple[Any, ...]]
    events: list[tuple[Any, ...]]
    calls: list[tuple[Any, ...]]


def _insert(db: sqlite3.Connection, made: Sequence[Made]) -> None:
    tasks = [each.task for each in made]
    conversations = [
        (each["conversation"], each["principal"], each["created_at"], each["message_count"]) for each in tasks
    ]
    _many(db, "conversations (id, principal, created_at, message_count)", conversations)
    sessions = [(each["session"], each["conversation"], each["created_at"], each["created_at"]) for each in tasks]
    _many(db, "sessions (id, conversation, created_at, expires_at)", sessions)
    _many(db, f"tasks ({', '.join(tasks[0])})", [tuple(each.values()) for each in tasks])
    turns = "turns (task, number, message, first_event, content, content_at, status, created_at, ended_at)"
    _many(db, turns, [row for each in made for row in each.turns])
    _many(db, "events (task, number, at, kind, data)", [row for each in made for row in each.events])
    calls = "calls (id, task, turn, key, position, tool_name, args, digest, similar, description, status, output)"
    _many(db, calls, [row for each in made for row in each.calls])
    dependencies = [(each.task["seq"], each.needs, each.task["open_dependencies"] == 0) for each in made if each.needs]
    _many(db, "dependencies (task, needs, satisfied)", dependencies)


def _many(db: sqlite3.Connection, into: str, rows: Iterable[tuple[Any, ...]]) -> None:
    marks = ", ".join("?" * (into.count(",") + 1))
    db.executemany(f"INSERT INTO {into} VALUES ({marks})", rows)


def _tasks(source: random.Random, count: int, now: int) -> Iterator[Made]:
    """Tasks from a year ago until now, in the order of their creation."""
    times = sorted(source.randrange(now - YEAR, now - _SECOND) for _ in range(count))
    words = [source.randbytes(source.randint(1, 5)).hex() for _ in range(_VOCABULARY)]
    frequent = _zipf(words)
    projects: list[int] = []
    for seq, created in enumerate(times, 1):
        place = _place(source, seq)
        earlier = None
        if place["task_list"] is None and source.random() < 0.5:
            place["task_list"] = f"project-{len(projects) // PROJECT}"
            earlier = projects[-1] if len(projects) % PROJECT else None
            projects.append(seq)
        text = " ".join(source.choices(words, cum_weights=frequent, k=source.randint(8, 40)))
        yield _task(source, seq, created, now, place, text, earlier)


def _place(source: random.Random, seq: int) -> Values:
    """What a task belongs to: most have some of it, none has all."""

    def now_and_then(share: float, names: Sequence[str]) -> str | None:
        weights = _FREQUENT[tuple(names)]
        return source.choices(names, cum_weights=weights)[0] if source.random() < share else None

    return {
        "agent": source.choices(list(AGENTS), list(AGENTS.values()))[0],
        "task_list": now_and_then(0.6, LISTS),
        "assigned_agent": now_and_then(0.6, WORKERS),
        "triggering_agent": now_and_then(0.2, CALLERS),
        "internal_status": now_and_then(0.3, STAGES),
        "parent": source.randrange(max(1, seq - 50), seq) if seq > 1 and source.random() < 0.05 else None,
    }


def _life(source: random.Random) -> int:
    """Microseconds from creation to the last activity: most are done in minutes, some wait for days and weeks."""
    median, spread = (90, 2.0) if source.random() < 0.85 else (86_400, 1.7)
    return int(source.lognormvariate(0, spread) * median * _SECOND)


def _task(
    source: random.Random, seq: int, created: int, now: int, place: Values, text: str, earlier: int | None
) -> Made:
    life = _life(source)
    ended = created + life if created + life < now else None
    if ended:
        status = source.choices(list(_ENDS), list(_ENDS.values()))[0]
    elif place["agent"] == "none":
        status = source.choices(list(_OPEN), list(_OPEN.values()))[0]
    else:
        status = Status.AWAITING_APPROVAL
    started = created + life // 10 if ended or status in (Status.RUNNING, Status.AWAITING_APPROVAL) else None
    if started and started > now:
        started = created
    needs = earlier if ended and source.random() < 0.5 else None
    turns = 2 if ended and source.random() < 0.1 else 1
    result = text[:80] if status is Status.COMPLETED else None
    failed = status is Status.FAILED
    events = list(_events(source, seq, created, started, ended, status, text))
    task = {
        "seq": seq,
        "id": str(UUID(int=source.getrandbits(128), version=4)),
        "principal": database.LOCAL.id,
        "conversation": time_ordered_id(created),
        "session": time_ordered_id(created),
        "status": status,
        "title": text[:40] if source.random() < 0.5 else None,
        "message": f"$ echo {text}",
        "show_in_history": 1,
        "auto_execute": 1,
        "sandbox": "namespaces",
        "timeout_seconds": 3600,
        "blocked_reason": REPORTED if status is Status.BLOCKED else None,
        "error_code": "EXECUTION_ERROR" if failed else None,
        "error": "it ended with status 1" if failed else None,
        "turn": turns,
        "message_count": 2 * turns if ended else 2 * turns - 1,
        "last_event": len(events),
        "request_digest": "0" * 64,
        "queue_place": created,
        "created_at": created,
        "started_at": started,
        "completed_at": ended,
        "updated_at": ended or started or created,
        "last_activity_at": ended or started or created,
        "source": "mcp",
        "root": place["parent"],
        "depth": 1 if place["parent"] else 0,
        "open_dependencies": 0,
        **place,
    }
    written = [
        (seq, number, f"echo {text}", 1, result if ended else None, ended, status if ended else None, created, ended)
        for number in range(1, turns + 1)
    ]
    return Made(task, needs, written, events, list(_calls(task, turns, text)))


def _events(
    source: random.Random, seq: int, created: int, started: int | None, ended: int | None, status: Status, text: str
) -> Iterator[tuple[Any, ...]]:
    told: list[tuple[int, str, Values]] = [(created, "status", {"status": "pending"})]
    if started:
        told.append((started, "status", {"status": "running"}))
        told += [(started, "content", {"text": text[:80]})] * source.randint(0, 2)
    if ended or status is Status.AWAITING_APPROVAL:
        told.append((ended or started or created, "status", {"status": status}))
    for number, (at, kind, data) in enumerate(told, 1):
        yield seq, number, at, kind, json.dumps(data)


def _calls(task: Values, turn: int, text: str) -> Iterator[tuple[Any, ...]]:
    if task["agent"] == "none":
        return
    waits = task["status"] is Status.AWAITING_APPROVAL
    args = json.dumps({"command": f"echo {text}"})
    status, output = ("awaiting_approval", None) if waits else ("success", text)
    digest = "0" * 64
    yield f"call_{task['id']}", task["seq"], turn, "1", 0, "shell", args, digest, "[]", "Run: echo", status, output
