"""`remit server adopt`: assigns the task folders to the present database."""

import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import anyio
from anyio import to_thread

from server.backups.replacement import recover
from server.cli.console import one_line
from server.cli.printing import print_answer
from server.daemon.file_systems import refuse_remote
from server.daemon.ownership import Ownership, Purpose
from server.daemon.paths import DATABASE, StatePaths, find_state_paths
from server.errors import Code, RemitError
from server.runner.workspace.workspaces import SweepReport, Workspaces
from server.tasks.execution.leftovers import end_leftovers
from server.tasks.workspaces import pairing
from storage.database_files import open_store


def adopt(arguments: Namespace) -> int:
    """Assign the task folders to the database, created if missing; folders of unknown tasks are set aside.

    Raises RemitError: `CONFLICT` while a server runs; `NOT_FOUND` without a state folder; `INTERRUPTED` if a process of
    a dead server cannot be ended.
    """
    paths = find_state_paths()
    if not os.path.isdir(paths.state):
        raise RemitError(Code.NOT_FOUND, f"there is no state folder {paths.state}")
    paths.prepare()
    refuse_remote(paths.state)
    os.umask(0o077)
    with Ownership(paths, Purpose.ADOPT):
        state = Path(paths.state)
        recovered = recover(state)
        workspaces = Workspaces(state / "workspaces")
        swept = anyio.run(_arranged, state, workspaces)
    answer = {
        "state": paths.state,
        "lost": swept.lost,
        "returned": swept.returned,
        "folder": str(workspaces.lost.root),
        "recovered": recovered,
    }
    print_answer(arguments, answer, _lines(paths, workspaces, swept, recovered))
    return 0


async def _arranged(state: Path, workspaces: Workspaces) -> SweepReport:
    async with open_store(state / DATABASE) as store:
        await to_thread.run_sync(end_leftovers, await store.leftovers(), state)  # they could write to moved folders
        return await pairing.arrange(store, workspaces, adopt=True)


def _lines(paths: StatePaths, workspaces: Workspaces, swept: SweepReport, recovered: str | None) -> Iterator[str]:
    if recovered:
        yield f"before that: {one_line(recovered)}"
    yield f"the folders in {paths.state} belong to its database now"
    if swept.returned:
        yield f"  put back: {len(swept.returned)} of its tasks, which had been set aside"
    if swept.lost:
        yield f"  set aside: {len(swept.lost)} of no task in it; they are in {workspaces.lost.root}"
