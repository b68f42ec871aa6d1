"""Idempotency keys of messages: each key counts once per task."""

import sqlite3

from server.errors import Code, RemitError
from storage.records.tasks import Principal, SentKey
from storage.sqlite.transitions.status import owned


def was_sent(db: sqlite3.Connection, principal: Principal, task_id: str, sent: SentKey) -> bool:
    """Return whether this message was sent to the task before.

    Raises RemitError (CONFLICT) if its key was used for another message.
    """
    task = owned(db, principal, task_id)
    row = db.execute(
        "SELECT request_digest FROM sent_messages WHERE task = ? AND idempotency_key = ?", (task["seq"], sent.key)
    ).fetchone()
    if row and row["request_digest"] != sent.request_digest:
        raise RemitError(
            Code.CONFLICT,
            "idempotencyKey was used before for a different message to this task; use a new key",
            field="idempotencyKey",
        )
    return row is not None


def keep(db: sqlite3.Connection, seq: int, sent: SentKey | None, at: int) -> None:
    """Record the key of a message, in the transaction in which it takes effect; nothing without a key."""
    if sent:
        db.execute("INSERT INTO sent_messages VALUES (?, ?, ?, ?)", (seq, sent.key, sent.request_digest, at))
