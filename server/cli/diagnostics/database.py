"""The database checks of `remit doctor`; nothing is changed."""

from collections.abc import Iterator
from pathlib import Path

from server.cli.diagnostics.finding import Finding
from server.daemon.paths import DATABASE
from server.errors import RemitError
from server.limits import MIB
from server.runner.workspace.lost_folders import LostFolders
from server.runner.workspace.workspaces import Workspaces
from server.tasks.workspaces import pairing
from storage.database_files import WAL, check, inspect, refuse_newer
from storage.records.database_files import Inspection

CHECK_SECONDS = 10.0
"""Seconds for checking the whole database while a person waits."""

MAX_WAL = 100 * MIB
"""Bytes: three times what the server leaves of the WAL (journal_size_limit), plus one long transaction."""


def of_database(state: Path) -> Finding:
    """Check that the database exists, is undamaged, of this version, and matches the task folders beside it."""
    path = state / DATABASE
    try:
        found = inspect(path)
        _check_pair(state)
        if found is None:
            return Finding(name="database", told=f"{path}, nothing in it yet" if path.exists() else "none yet")
        refuse_newer(found.version)
        is_complete = check(path, CHECK_SECONDS)
    except RemitError as error:
        return Finding(name="database", told=str(path), problem=error.message)
    except OSError as error:
        return Finding(name="database", told=str(path), problem=f"it cannot be read: {error.strerror}")
    told = f"{found.size / MIB:.1f} MiB, {found.free / MIB:.1f} of it free"
    return Finding(name="database", told=told, advice=tuple(_advice(state, found, is_complete=is_complete)))


def of_changes(state: Path) -> Iterator[Finding]:
    """Yield a finding if something keeps the WAL from being emptied."""
    path = state / (DATABASE + WAL)
    size = path.stat().st_size if path.exists() else 0
    if size > MAX_WAL:
        told = f"{size / MIB:.0f} MiB of changes are not in the database file yet"
        advice = (
            "a program beside the server reads the database and keeps them from being written there "
            f"(`fuser -v {path}` names it): end it, and the server makes the file small again"
        )
        yield Finding(name="WAL", told=told, advice=(advice,))


def _check_pair(state: Path) -> None:
    """Raise RemitError (CONFLICT) if the task folders belong to another database."""
    root = state / "workspaces"
    if root.is_dir() and root.with_name("homes").is_dir():  # otherwise the check would create them
        pairing.check(state / DATABASE, Workspaces(root))


def _advice(state: Path, found: Inspection, *, is_complete: bool) -> Iterator[str]:
    if not is_complete:
        yield f"it is large: {CHECK_SECONDS:g} s were not enough to look at all of it for damage"
    if not found.gives_back:
        yield (
            "what becomes free in it is used again, but not given back to the disk; to change that: remit server stop; "
            f"sqlite3 {state / DATABASE} 'PRAGMA journal_mode=DELETE; PRAGMA auto_vacuum=INCREMENTAL; VACUUM'"
        )
    if lost := LostFolders(state / "lost").names():
        yield f"folders that were set aside in {state / 'lost'}, of tasks that it did not know then: {len(lost)}"
