"""Pairing of the database with the folders of its tasks: each names the other, so that a wrong one is noticed."""

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from anyio import to_thread

from server.errors import Code, RemitError
from server.runner.workspace.workspaces import SweepReport, Workspaces
from storage.database_files import inspect
from storage.interface import Store

_WAYS = (
    "`remit restore FILE` puts a backup of the right one in its place; `remit server adopt` goes on with what is there,"
    " and sets the folders of tasks that are not in it aside, in {lost}. Nothing was changed"
)


def check(database: Path, workspaces: Workspaces) -> bool:
    """Check, before the database is opened, that the folders belong to it. Returns whether both have no id yet.

    Raises RemitError: CONFLICT when the database is missing or another one and folders with content exist;
    EXECUTION_ERROR when it cannot be read.
    """
    found, names = inspect(database), workspaces.names()
    if found is None:
        if names:
            raise _refused(workspaces, names, f"there is no database in {workspaces.state}, or nothing in it, but")
        return False
    if names and workspaces.owner not in (None, found.identity):
        raise _refused(workspaces, names, f"the database in {workspaces.state} is not the one that has made")
    return found.identity is None


async def arrange(store: Store, workspaces: Workspaces, *, adopt: bool) -> SweepReport:
    """Set aside the folders of unknown tasks, and write the database's id beside the others.

    `adopt` accepts folders that may belong to another database. Raises RemitError (CONFLICT): without it, when the
    folders name no database and some belong to no task of this one.
    """
    names = await to_thread.run_sync(workspaces.names)
    known = await store.maintenance.known_folders({*names, *await to_thread.run_sync(workspaces.lost.names)})
    given_up = await store.maintenance.given_up_folders()
    if not adopt and workspaces.owner is None and (unknown := names.difference(known, given_up)):
        raise _refused(workspaces, unknown, "the database does not know")
    if workspaces.owner != (identity := await store.maintenance.identity()):
        workspaces.owner = identity
    swept = await to_thread.run_sync(workspaces.sweep, known, given_up, datetime.now(UTC))
    if gone := given_up.difference(await to_thread.run_sync(workspaces.names)):
        await store.maintenance.forget_folders(gone)
    return swept


def _refused(workspaces: Workspaces, names: Collection[str], beginning: str) -> RemitError:
    number = f"the folders of {len(names)} tasks" if len(names) > 1 else "the folder of a task"
    ways = _WAYS.format(lost=workspaces.lost.root)
    return RemitError(Code.CONFLICT, f"{beginning} {number} ({min(names)}{', …' * (len(names) > 1)}): {ways}")
