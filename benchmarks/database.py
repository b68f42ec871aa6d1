"""SQLite without a server: remit's own schema and operations on one plain connection, as durable as remit's."""

import os
import pwd
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

from server.tasks.sessions import time_ordered_id
from storage.records.demands import Demands
from storage.records.tasks import NestingLimits, NewTask, Principal, SecretSource
from storage.sqlite.connection import RecordingConnection
from storage.sqlite.database import migrate
from storage.sqlite.operations import tasks

LOCAL = Principal("local", pwd.getpwuid(os.geteuid()).pw_name)
_DAY = 24 * 3600


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the database at `path`, made if it is not there, with synchronous = FULL."""
    with closing(sqlite3.connect(path, isolation_level=None, factory=RecordingConnection)) as db:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        migrate(db)
        yield db


def commit_task(db: sqlite3.Connection, message: str) -> None:
    """The rows of one `create_task`, in a transaction of their own."""
    db.execute("BEGIN IMMEDIATE")
    insert_task(db, message)
    db.execute("COMMIT")


def insert_task(
    db: sqlite3.Connection,
    message: str,
    secrets: Mapping[str, SecretSource] | None = None,
    *,
    agent: str = "shell",
    depends_on: Sequence[str] = (),
) -> str:
    """A task that was just created and waits for each of its calls to be approved; its id."""
    at = now()
    return tasks.create(db, LOCAL, new_task(message, at, agent=agent, secrets=secrets, depends_on=depends_on), at).id


def new_task(
    message: str,
    at: int,
    *,
    agent: str = "shell",
    secrets: Mapping[str, SecretSource] | None = None,
    depends_on: Sequence[str] = (),
) -> NewTask:
    """What is to be stored of a task that is created at this time."""
    return NewTask(
        id=str(uuid4()),
        agent=agent,
        message=message,
        title=None,
        system_prompt=None,
        show_in_history=True,
        auto_execute=False,
        env=None,
        secrets=secrets or {},
        metadata=None,
        demands=Demands(),
        sandbox="namespaces",
        timeout_seconds=3600,
        idempotency_key=None,
        request_digest="0" * 64,
        conversation=time_ordered_id(at),
        session=time_ordered_id(at),
        session_expires_at=at + _DAY * 1_000_000,
        nesting=NestingLimits(depth=0, count=0),
        depends_on=depends_on,
    )


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000
