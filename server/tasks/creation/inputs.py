"""Inputs of tasks: files and secret values, in place before the task or turn is stored that needs them."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from secrets import token_hex

from anyio import to_thread

from server.runner.workspace.upload import Upload
from server.tasks.callers import Caller
from server.tasks.services import Services
from server.tasks.workspaces.removal import remove_folders
from storage.records.tasks import AGENT, NewTask


async def deliver(
    services: Services, caller: Caller, new: NewTask, uploads: Sequence[Upload], values: Mapping[str, str]
) -> None:
    """Put the files and secrets of a task in place that is about to be stored."""
    if uploads:
        await to_thread.run_sync(partial(services.workspaces.create, new.id, uploads, source_root=caller.folder))
    await services.vault.keep(new.id, 1, values, new.secrets)
    if new.workspace and new.parent and new.source == AGENT:  # until its exact secrets are known
        await services.vault.share(new.parent, new.id)


async def add_files(services: Services, caller: Caller, task_id: str, uploads: Sequence[Upload]) -> None:
    """Add the files of a message to its task's folder."""
    if uploads:
        # An approval for the present files ends before they are replaced, even if the message is then refused.
        replaced = {upload.path: token_hex(16) for upload in uploads}
        await services.store.bring_files(caller.principal, task_id, replaced)
        services.workspaces.ensure(task_id)
        add = partial(services.workspaces.add, task_id, uploads, source_root=caller.folder)
        await to_thread.run_sync(add)


async def withdraw(services: Services, task_id: str) -> None:
    """Remove the secrets and the folder made for a task that was not stored."""
    services.vault.drop(task_id)
    await to_thread.run_sync(services.workspaces.remove, task_id)


async def forget(services: Services, task_ids: Collection[str]) -> None:
    """Remove the secrets and folders of tasks that were deleted from the store."""
    for task_id in task_ids:
        services.vault.drop(task_id)
    await remove_folders(services.store, services.workspaces, task_ids)
