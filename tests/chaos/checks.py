"""Checks at the end of a campaign, when everybody was served and the server has ended."""

import sqlite3
import subprocess
from collections import Counter
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from server.daemon.paths import DATABASE
from server.tasks.views.formatting import time
from tests.chaos import processes
from tests.chaos.journal import Journal, Task
from tests.chaos.orders import TOKEN, Scene, written

EXECUTIONS = {"success": {1}, "error": {0, 1}, "cancelled": {0}}
"""How often a call may have been executed by its status: what was cut off may have been, what was cancelled was not."""


def check(home: Path, scene: Scene, journal: Journal, canaries: Collection[bytes]) -> None:
    """Note all that is wrong with a state folder, and with what tasks were to leave outside of it."""
    if left := processes.alive(scene.hours):
        journal.fault("orphaned", f"processes {left}")
    with closing(sqlite3.connect(home / DATABASE)) as db:
        db.row_factory = sqlite3.Row
        _integrity(db, journal)
        _acknowledged(db, home, journal)
        _executions(db, home, journal)
    _secrets(home, journal, canaries)
    fsck = subprocess.run(["git", "fsck", "--strict"], cwd=scene.project, capture_output=True, text=True, check=False)
    if fsck.returncode:
        journal.fault("damaged", f"git fsck: {fsck.stdout}{fsck.stderr}")


def _integrity(db: sqlite3.Connection, journal: Journal) -> None:
    for (problem,) in db.execute("PRAGMA integrity_check").fetchall():
        if problem != "ok":
            journal.fault("damaged", f"integrity_check: {problem}")
    for row in db.execute("PRAGMA foreign_key_check").fetchall():
        journal.fault("damaged", f"foreign_key_check: {tuple(row)}")
    try:
        db.execute("INSERT INTO task_words (task_words, rank) VALUES ('integrity-check', 1)")
    except sqlite3.Error as error:
        journal.fault("damaged", f"full-text index: {error}")
    db.rollback()


def _acknowledged(db: sqlite3.Connection, home: Path, journal: Journal) -> None:
    """Check that what users were told is true, and happened once."""
    ids = {row["id"]: row["seq"] for row in db.execute("SELECT id, seq FROM tasks")}
    titles = Counter(title for (title,) in db.execute("SELECT title FROM tasks"))
    for key, count in titles.items():
        if count > 1 or key in journal.refused_keys:
            journal.fault("twice" if count > 1 else "refused", f"{count} tasks were made for {key}")
    for task in journal.tasks.values():
        if task.is_deleted and (task.id in ids or (home / "workspaces" / task.id).exists()):
            journal.fault("kept", f"{task.key} was deleted and is there")
    for task in journal.known():
        if task.id not in ids:
            journal.fault("lost", f"{task.key} is not there")
        else:
            _task(db, ids[task.id], task, journal)


def _task(db: sqlite3.Connection, seq: int, task: Task, journal: Journal) -> None:
    turns = db.execute("SELECT message, status, ended_at FROM turns WHERE task = ?", (seq,)).fetchall()
    said = Counter(turn["message"] for turn in turns)
    for message in task.messages:
        if said[message] != 1:
            journal.fault("twice" if said[message] else "lost", f"{task.key} has {said[message]} times: {message}")
    ends = {(time(turn["ended_at"]), turn["status"]) for turn in turns if turn["ended_at"]}
    for end in task.ends - ends:
        journal.fault("lost", f"{task.key} was told to have ended {end}; it has {ends}")
    decided = dict(db.execute("SELECT id, outcome FROM calls WHERE task = ?", (seq,)).fetchall())
    for call_id, outcome in task.decisions.items():
        if decided.get(call_id) != outcome:
            journal.fault("lost", f"{task.key}: {outcome} of call {call_id} became {decided.get(call_id)}")
    (progress,) = db.execute("SELECT progress_message FROM tasks WHERE seq = ?", (seq,)).fetchone()
    if task.reported and not task.reported <= int(progress or 0) <= task.attempted:
        journal.fault("lost", f"{task.key} has progress {progress}; {task.reported} was acknowledged")


def _executions(db: sqlite3.Connection, home: Path, journal: Journal) -> None:
    """Check that each command was executed as often as its call says, and none without a call."""
    uncertain = {task.key for task in journal.tasks.values() if not task.id or task.is_deleted is None}
    times = Counter(written(home / "workspaces"))
    for row in db.execute("SELECT args, status, reason FROM calls"):
        for token in set(TOKEN.findall(row["args"])):
            count = times.pop(token, 0)
            is_open = row["status"] not in EXECUTIONS and _key(token) in uncertain
            if not is_open and count not in EXECUTIONS.get(row["status"], ()):
                kind = "twice" if count > 1 else "told"
                journal.fault(kind, f"{token} ran {count} times, its call is {row['status']} ({row['reason']})")
    for token in times:
        if _key(token) not in uncertain:
            journal.fault("unrecorded", f"{token} ran without a call")


def _key(token: str) -> str:
    """Return the key of the task whose command writes a token."""
    return token.removeprefix("token-").split(".")[0]


def _secrets(home: Path, journal: Journal, canaries: Collection[bytes]) -> None:
    for file in home.rglob("*"):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            for canary in canaries:
                if canary in content:
                    journal.fault("leaked", f"{file.relative_to(home)} holds a secret")
