"""Conversations: the messages of tasks that share one, and their approval sessions."""

import sqlite3

from server.errors import Code, RemitError
from storage.records.tasks import Message, NewTask, NewTurn, Principal, Run, Task
from storage.sqlite import rows

MOST_TURNS = 500
"""Latest turns of a conversation that are read, and latest turns of the task itself."""


def join(db: sqlite3.Connection, principal: Principal, new: NewTask, at: int) -> None:
    """Create the conversation and session of a new task, or find the conversation it joins.

    Raises RemitError (NOT_FOUND) for an unknown conversation, or another principal's.
    """
    if not new.joins:
        db.execute(
            "INSERT INTO conversations (id, principal, created_at) VALUES (?, ?, ?)",
            (new.conversation, principal.id, at),
        )
    elif not db.execute(
        "SELECT 1 FROM conversations WHERE id = ? AND principal = ?", (new.conversation, principal.id)
    ).fetchone():
        raise RemitError(
            Code.NOT_FOUND,
            f"conversationId: there is no conversation {new.conversation!r}; leave it out to begin one",
            field="conversationId",
        )
    _insert_session(db, new.session, new.conversation, at, new.session_expires_at)


def session_of(db: sqlite3.Connection, task: sqlite3.Row, new: NewTurn, at: int) -> str:
    """Return the task's session, prolonged; a new one without grants if it has expired."""
    prolonged = db.execute(
        "UPDATE sessions SET expires_at = ? WHERE id = ? AND expires_at > ?",
        (new.session_expires_at, task["session"], at),
    ).rowcount
    if prolonged:
        return str(task["session"])
    _insert_session(db, new.session, task["conversation"], at, new.session_expires_at)
    return new.session


def before(db: sqlite3.Connection, run: Run) -> list[Message]:
    """Return the messages of the conversation before the run's turn, oldest first."""
    task = db.execute(f"SELECT {rows.TASK_COLUMNS} FROM {rows.TASKS} WHERE t.seq = ?", (run.seq,)).fetchone()
    messages = messages_of(db, rows.task(task))
    return [message for message in messages if (message.task_id, message.turn) != (run.task_id, run.turn)]


def messages_of(db: sqlite3.Connection, task: Task) -> list[Message]:
    """Return the messages of the latest turns of a conversation, and of the task itself, oldest first.

    Of other tasks, only those that show in the history are included.
    """
    found = db.execute(
        """WITH latest AS (SELECT r.task, r.number FROM tasks t INDEXED BY tasks_conversation
                   CROSS JOIN turns r INDEXED BY turns_by_time ON r.task = t.seq
                   WHERE t.conversation = ?1 AND t.show_in_history
                   ORDER BY r.created_at DESC, r.task DESC, r.number DESC LIMIT ?3),
               own AS (SELECT task, number FROM turns WHERE task = ?2 ORDER BY number DESC LIMIT ?3)
           SELECT t.id, r.number, r.message, r.content, r.created_at, r.ended_at
           FROM (SELECT * FROM latest UNION SELECT * FROM own) found
           CROSS JOIN turns r ON r.task = found.task AND r.number = found.number
           JOIN tasks t ON t.seq = r.task""",
        (task.conversation, task.seq, MOST_TURNS),
    )
    messages: list[Message] = []
    for row in found:
        messages.append(Message(row["id"], row["number"], "user", row["message"], row["created_at"]))
        if row["content"] is not None and row["ended_at"] is not None:
            messages.append(Message(row["id"], row["number"], "assistant", row["content"], row["ended_at"]))
    return sorted(messages, key=lambda message: (message.at, message.role == "assistant"))


def remove_messages(db: sqlite3.Connection, task: sqlite3.Row) -> None:
    """Remove the messages of a task from its conversation, before the task is removed.

    A conversation without tasks is removed, and so are the task's session and its grants.
    """
    if task["show_in_history"]:
        db.execute(
            "UPDATE conversations SET message_count = message_count - ? WHERE id = ?",
            (task["message_count"], task["conversation"]),
        )
    db.execute(
        "DELETE FROM conversations WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM tasks WHERE conversation = ?1)",
        (task["conversation"],),
    )
    end_session(db, task["session"])


def end_session(db: sqlite3.Connection, session: str) -> None:
    """Remove a session that no task uses any more, with its grants."""
    db.execute("DELETE FROM sessions WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM tasks WHERE session = ?1)", (session,))


def _insert_session(db: sqlite3.Connection, session: str, conversation: str, at: int, expires_at: int) -> None:
    db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", (session, conversation, at, expires_at))
