"""Grants: standing approvals ("always"), each for the similar calls of one session in one set of circumstances."""

import json
import sqlite3

from server.errors import Code, RemitError
from storage.records.calls import Grant, NewGrant
from storage.records.tasks import Principal


def in_force(db: sqlite3.Connection, principal: Principal, at: int) -> list[Grant]:
    """Return the grants in force, newest first."""
    found = db.execute(
        """SELECT g.id, g.session, (SELECT t.id FROM tasks t WHERE t.session = g.session ORDER BY seq DESC LIMIT 1)
               AS task_id, g.tool_name, g.description, g.granted_by, g.created_at, s.expires_at
           FROM grants g JOIN sessions s ON s.id = g.session JOIN conversations c ON c.id = s.conversation
           WHERE c.principal = ? AND g.revoked_at IS NULL AND s.expires_at > ? ORDER BY g.created_at DESC""",
        (principal.id, at),
    )
    return [Grant(**dict(row)) for row in found]


def revoke(db: sqlite3.Connection, principal: Principal, grant_id: str, at: int) -> None:
    """Revoke a grant; calls that it let pass stay done. Raises RemitError (NOT_FOUND)."""
    changed = db.execute(
        """UPDATE grants SET revoked_at = coalesce(revoked_at, ?) WHERE id = ? AND session IN (SELECT s.id
               FROM sessions s JOIN conversations c ON c.id = s.conversation WHERE c.principal = ?)""",
        (at, grant_id, principal.id),
    ).rowcount
    if not changed:
        raise RemitError(Code.NOT_FOUND, f"there is no grant {grant_id!r}", id=grant_id)


def give(db: sqlite3.Connection, task: sqlite3.Row, call: sqlite3.Row, grant: NewGrant, by: str, at: int) -> None:
    """Give a grant for the calls that are similar to this one; the task's session lasts as long as it says at least."""
    db.execute(
        "UPDATE sessions SET expires_at = max(expires_at, ?) WHERE id = ?",
        (grant.session_expires_at, task["session"]),
    )
    db.execute(
        "INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?)",
        (
            grant.id,
            task["session"],
            call["tool_name"],
            call["description"],
            call["similar"],
            by,
            at,
            call["circumstances"],
        ),
    )


def end_others(db: sqlite3.Connection, task: sqlite3.Row, circumstances: str | None, at: int) -> None:
    """End the grants of the task's session that were given under other circumstances than these (a digest)."""
    db.execute(
        "UPDATE grants SET revoked_at = ? WHERE session = ? AND revoked_at IS NULL AND circumstances IS NOT ?",
        (at, task["session"], circumstances),
    )


def cover(db: sqlite3.Connection, task: sqlite3.Row, call: sqlite3.Row, at: int) -> bool:
    """Return whether a grant of the task's session in force covers a call."""
    similar = set(json.loads(call["similar"]))
    found = db.execute(
        """SELECT g.keys FROM grants g JOIN sessions s ON s.id = g.session
           WHERE g.session = ? AND g.tool_name = ? AND g.revoked_at IS NULL AND s.expires_at > ?""",
        (task["session"], call["tool_name"], at),
    )
    return any(similar.intersection(json.loads(row["keys"])) for row in found)
