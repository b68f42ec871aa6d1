"""The messages of a conversation, read back."""

import sqlite3

import pytest

from storage.interface import Store
from storage.records.outcomes import TurnEnd
from storage.records.states import Status
from storage.sqlite.operations import tasks
from storage.sqlite.store import SqliteStore
from storage.sqlite.transitions import conversations
from storage.sqlite.transitions.turns import close_turn
from tests.storage.samples import ANN, new_task, new_turn


def said(db: sqlite3.Connection, at: int, message: str, **changes: object) -> str:
    """Return a task that was created and completed at these moments."""
    new = new_task(message=message, **changes)
    tasks.create(db, ANN, new, at)
    end(db, new.id, at + 1)
    return new.id


def end(db: sqlite3.Connection, task_id: str, at: int) -> None:
    db.execute("UPDATE tasks SET status = 'running' WHERE id = ?", (task_id,))
    task = db.execute("SELECT * FROM tasks WHERE id = ?", (task_id,)).fetchone()
    close_turn(db, task, TurnEnd(Status.COMPLETED), at)


def follow_up(db: sqlite3.Connection, task_id: str, at: int, message: str) -> None:
    tasks.open_turn(db, ANN, task_id, new_turn(message=message), at)
    end(db, task_id, at + 1)


async def asked(store: Store, task_id: str) -> tuple[list[str], int, int]:
    """Return what was asked, as the task shows it; how many messages it leaves out, and how many it counts."""
    snapshot = await store.snapshot(ANN, task_id, messages=True)
    questions = [message.content for message in snapshot.messages if message.role == "user"]
    return questions, snapshot.omitted_messages, snapshot.task.message_count


async def test_the_latest_turns_are_read_back_whichever_task_they_are_of(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "MOST_TURNS", 3)

    def talk(db: sqlite3.Connection) -> str:
        first = said(db, 10, "one", conversation="c")
        for at in (20, 30, 40):
            said(db, at, f"at {at}", conversation="c", joins=True)
        follow_up(db, first, 50, "two")
        return said(db, 60, "three", conversation="c", joins=True)

    last = await store._db.write(talk)
    assert await asked(store, last) == (["at 40", "two", "three"], 6, 12)


async def test_the_turns_of_the_task_itself_are_always_read_back(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "MOST_TURNS", 2)

    def talk(db: sqlite3.Connection) -> str:
        first = said(db, 10, "one", conversation="c")
        for at in (20, 30, 40):
            said(db, at, f"at {at}", conversation="c", joins=True)
        return first

    first = await store._db.write(talk)
    assert await asked(store, first) == (["one", "at 30", "at 40"], 2, 8)


async def test_a_task_that_does_not_show_in_the_history_counts_what_it_shows(store: SqliteStore) -> None:
    def talk(db: sqlite3.Connection) -> tuple[str, str]:
        first = said(db, 10, "one", conversation="c")
        return first, said(db, 20, "hidden", conversation="c", joins=True, show_in_history=False)

    first, hidden = await store._db.write(talk)
    assert await asked(store, first) == (["one"], 0, 2)
    assert await asked(store, hidden) == (["one", "hidden"], 0, 4)
