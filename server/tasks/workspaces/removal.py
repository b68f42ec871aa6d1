"""Removal of the folders of deleted tasks, and of tasks that continue without one."""

import logging
from collections.abc import Iterable
from contextlib import suppress

from anyio import to_thread

from server.errors import RemitError
from server.runner.workspace.workspaces import Workspaces
from storage.interface import Store

_log = logging.getLogger(__name__)


async def remove_folders(store: Store, workspaces: Workspaces, task_ids: Iterable[str]) -> None:
    """Delete the folders of tasks that the store has given up. A later sweep retries what cannot be deleted now."""
    gone = []
    for task_id in task_ids:
        try:
            await to_thread.run_sync(workspaces.remove, task_id)
        except OSError as error:
            _log.warning("the folder of task %s cannot be deleted: %s", task_id, error.strerror)
        else:
            gone.append(task_id)
    with suppress(RemitError):  # the next sweep notices that they are gone
        await store.maintenance.forget_folders(gone)
