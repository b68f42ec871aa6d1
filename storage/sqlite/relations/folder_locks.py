"""Folder locks: two tasks never write to one folder at once, unless both share it.

A task holds its folder from the start of a turn until the turn ends. Later ones are `blocked`, and resume in the order
of the queue.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from storage.records.states import BUSY, Status
from storage.records.tasks import Principal
from storage.records.workspaces import (
    Checkout,
    FolderNotes,
    RepositoryRecord,
    Workspace,
    WorktreeOutcome,
    WorktreeRecord,
)
from storage.sqlite import rows
from storage.sqlite.relations.subtasks import makers, still_shared
from storage.sqlite.transitions.status import owned, set_status

_COLUMNS = "w.mode, w.path, w.shared, w.owner, w.reaches, w.repository, w.checkout, w.outcome"

# Tasks that hold a folder, or wait for one. CROSS JOIN makes SQLite start with these few, whatever it assumes about the
# sizes of the tables.
_PRESENT = f"""SELECT t.seq, t.id, t.principal, t.queue_place, w.use, w.mode, w.path, w.shared, w.reaches
    FROM workspaces w INDEXED BY workspaces_in_use CROSS JOIN tasks t ON t.seq = w.task
    WHERE w.use IS NOT NULL AND t.status NOT IN {rows.ENDED_SQL}
        AND iif(w.use = 'held', t.started_at IS NOT NULL, t.status = 'pending' OR t.blocked_reason = '{BUSY}')"""


@dataclass(frozen=True, slots=True)
class _FolderClaim:
    seq: int
    id: str
    principal: str
    held: bool
    place: tuple[int, int]
    writes: bool
    shared: bool
    path: PurePosixPath
    reaches: tuple[PurePosixPath, ...]

    def is_ahead_of(self, other: "_FolderClaim") -> bool:
        return self.seq != other.seq and (self.held or self.place < other.place)

    def clashes_with(self, other: "_FolderClaim") -> bool:
        return self._disturbs(other) or other._disturbs(self)

    def _disturbs(self, other: "_FolderClaim") -> bool:
        """Return whether it writes where the other writes, or could move a folder that the other sees."""
        both_write = self.path == other.path and self.writes and other.writes and not (self.shared and other.shared)
        return both_write or any(map(self.could_move, other.reaches))

    def could_move(self, folder: PurePosixPath) -> bool:
        """Return whether it writes to a folder above this one, and so could move it."""
        return self.writes and folder != self.path and folder.is_relative_to(self.path)

    def beyond(self, holder: "_FolderClaim") -> list[PurePosixPath]:
        """Return the folders that it sees, and the holder of its ancestors' claim does not."""
        known = (holder.path, *holder.reaches)
        return [folder for folder in self.reaches if not any(map(folder.is_relative_to, known))]


def insert(db: sqlite3.Connection, seq: int, workspace: Workspace) -> None:
    """Record the folder that a new task works in."""
    db.execute(
        "INSERT INTO workspaces (task, mode, path, shared, owner, reaches, repository) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            seq,
            workspace.mode,
            workspace.path,
            workspace.shared,
            workspace.owner,
            json.dumps(workspace.reaches),
            rows.dumps(workspace.repository and workspace.repository.as_json()),
        ),
    )


def of(db: sqlite3.Connection, seq: int) -> Workspace | None:
    """Return the user's folder that a task works in; None for a folder of its own."""
    row = db.execute(f"SELECT {_COLUMNS} FROM workspaces w WHERE w.task = ?", (seq,)).fetchone()
    return _workspace(row) if row else None


def owned_by(db: sqlite3.Connection, principal: Principal, task_id: str) -> Workspace | None:
    """Return the same for a task of this principal. Raises RemitError (NOT_FOUND)."""
    return of(db, owned(db, principal, task_id)["seq"])


def wake(db: sqlite3.Connection, at: int) -> None:
    """Queue the blocked tasks whose folders are free now, at their former places."""
    db.execute(
        f"""UPDATE workspaces INDEXED BY workspaces_in_use SET use = NULL
            WHERE use IS NOT NULL AND (SELECT status FROM tasks WHERE seq = task) IN {rows.ENDED_SQL}"""
    )
    claims = _claims(db)
    for waiting in [each for each in claims if not each.held and not _ahead(db, each, claims)]:
        row = db.execute("SELECT * FROM tasks WHERE seq = ?", (waiting.seq,)).fetchone()
        if row["status"] == Status.BLOCKED:
            set_status(db, row, Status.PENDING, at)
            db.execute("UPDATE tasks SET queue_place = ? WHERE seq = ?", (row["queue_place"], row["seq"]))


def acquire(db: sqlite3.Connection, task: sqlite3.Row, at: int) -> bool:
    """Give a task that is about to start its folder, and return True; if others hold it, the task is blocked."""
    found = db.execute("SELECT mode, use FROM workspaces WHERE task = ?", (task["seq"],)).fetchone()
    if found is None:
        return True
    goes_on = found["use"] == "held" and task["started_at"] is not None
    free = goes_on or not _blockers(db, task["seq"], task["queue_place"])
    db.execute("UPDATE workspaces SET use = ? WHERE task = ?", ("held" if free else "awaited", task["seq"]))
    if not free:
        set_status(db, task, Status.BLOCKED, at, blocked_reason=BUSY)
    elif found["mode"] == "worktree":
        db.execute("UPDATE workspaces SET checkout = 'open' WHERE task = ?", (task["seq"],))
    return free


def blocking(db: sqlite3.Connection, principal: Principal, seq: int) -> list[str]:
    """Return the ids of the tasks that keep a task out of its folder, as far as they are this principal's."""
    (queue_place,) = db.execute("SELECT queue_place FROM tasks WHERE seq = ?", (seq,)).fetchone()
    return [each.id for each in _blockers(db, seq, queue_place) if each.principal == principal.id]


def record(db: sqlite3.Connection, task_id: str, checkout: Checkout, outcome: WorktreeOutcome) -> None:
    """Record the findings about a worktree, unless it is gone meanwhile."""
    db.execute(
        """UPDATE workspaces SET checkout = ?, outcome = ?
           WHERE task = (SELECT seq FROM tasks WHERE id = ?) AND checkout IS NOT NULL""",
        (checkout, rows.dumps(outcome), task_id),
    )


def note(db: sqlite3.Connection, task_id: str, changes: FolderNotes) -> None:
    """Merge notes about a folder that a task works in directly (not through a worktree)."""
    db.execute(
        """UPDATE workspaces SET outcome = json_patch(ifnull(outcome, '{}'), ?)
           WHERE task = (SELECT seq FROM tasks WHERE id = ?) AND mode <> 'worktree'""",
        (rows.dumps(changes), task_id),
    )


def reopen(db: sqlite3.Connection, task_id: str) -> None:
    """Mark a worktree to be examined again."""
    db.execute(
        """UPDATE workspaces SET checkout = 'open'
           WHERE task = (SELECT seq FROM tasks WHERE id = ?) AND checkout IS NOT NULL""",
        (task_id,),
    )


def give_up(db: sqlite3.Connection, task_id: str, at: int) -> None:
    """Record that a worktree is gone, and the task's folder with it."""
    db.execute("UPDATE workspaces SET checkout = NULL WHERE task = (SELECT seq FROM tasks WHERE id = ?)", (task_id,))
    db.execute("UPDATE tasks SET workspace_removed_at = ? WHERE id = ?", (at, task_id))


def worktrees(db: sqlite3.Connection, task_id: str | None = None) -> list[WorktreeRecord]:
    """Return all worktrees on disk, complete or not, or that of one task; the oldest first."""
    found = db.execute(
        f"""SELECT t.id, t.principal, t.agent, t.demands, t.completed_at, t.last_activity_at, {_COLUMNS},
                {still_shared("t")} AS is_lent
            FROM workspaces w INDEXED BY workspaces_checked_out CROSS JOIN tasks t ON t.seq = w.task
            WHERE w.checkout IS NOT NULL AND (?1 IS NULL OR t.id = ?1) ORDER BY w.task""",
        (task_id,),
    )
    return [
        WorktreeRecord(
            task_id=row["id"],
            principal=row["principal"],
            agent=row["agent"],
            demands=rows.demands(row),
            ended_at=row["completed_at"],
            is_shared=bool(row["is_lent"]),
            last_activity_at=row["last_activity_at"],
            workspace=_workspace(row),
        )
        for row in found
    ]


def _blockers(db: sqlite3.Connection, seq: int, queue_place: int) -> list[_FolderClaim]:
    row = db.execute(
        """SELECT task AS seq, '' AS id, '' AS principal, ? AS queue_place, NULL AS use, mode, path, shared, reaches
           FROM workspaces WHERE task = ?""",
        (queue_place, seq),
    ).fetchone()
    return _ahead(db, _claim(row), _claims(db))


def _ahead(db: sqlite3.Connection, claim: _FolderClaim, claims: Sequence[_FolderClaim]) -> list[_FolderClaim]:
    """Return the claims that keep a task out of its folder.

    Ancestors never block: a sub-task works under its ancestor's claim on a folder, so waiting for it would deadlock.
    For the same reason, beneath such an ancestor only tasks created by its agent block, and those that could move a
    folder that this task sees and the ancestor does not.
    """
    found = [other for other in claims if other.is_ahead_of(claim) and other.clashes_with(claim)]
    above = makers(db, claim.seq) if found else []
    others = [other for other in found if other.seq not in above]
    holder = _nearest(above, [each for each in claims if each.held])
    if holder is None:
        return others
    beyond = claim.beyond(holder)
    return [other for other in others if any(map(other.could_move, beyond)) or holder.seq in makers(db, other.seq)]


def _nearest(above: Sequence[int], holders: Sequence[_FolderClaim]) -> _FolderClaim | None:
    known = {holder.seq: holder for holder in holders}
    return next((known[seq] for seq in above if seq in known), None)


def _claims(db: sqlite3.Connection) -> list[_FolderClaim]:
    return [_claim(row) for row in db.execute(_PRESENT)]


def _claim(row: sqlite3.Row) -> _FolderClaim:
    return _FolderClaim(
        seq=row["seq"],
        id=row["id"],
        principal=row["principal"],
        held=row["use"] == "held",
        place=(row["queue_place"], row["seq"]),
        writes=row["mode"] == "readwrite",
        shared=bool(row["shared"]),
        path=PurePosixPath(row["path"]),
        reaches=tuple(map(PurePosixPath, json.loads(row["reaches"]))),
    )


def _workspace(row: sqlite3.Row) -> Workspace:
    repository = rows.loads(row["repository"])
    outcome: WorktreeOutcome = rows.loads(row["outcome"] or "{}")
    return Workspace(
        mode=row["mode"],
        path=row["path"],
        shared=bool(row["shared"]),
        owner=row["owner"],
        reaches=tuple(rows.loads(row["reaches"])),
        repository=RepositoryRecord.of_json(repository) if repository else None,
        checkout=row["checkout"],
        outcome=outcome,
    )
