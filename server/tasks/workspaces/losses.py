"""Warnings about lost folders, and about tasks held after a restore: shown with the task and before a next turn."""

from server.runner.workspace.workspaces import Workspaces
from server.tasks.secrets.masking import own_words
from server.tasks.views.formatting import time
from storage.interface import Store
from storage.records.events import EventKind, RunEvent
from storage.records.states import RESTORED, Status
from storage.records.tasks import Claim, Task

_GONE = (
    "the task's folder is gone: it was deleted by hand, or was not in the backup that was restored; "
    "a further turn starts with an empty one, without the files of earlier turns"
)
_STARTED_EMPTY = "the task's folder was gone: this turn started with an empty one, without the files of earlier turns"
_MAY_HAVE_GONE_ON = (
    "the task came out of a backup: what it did after that was made is not known, so it does not go on by itself; "
    "send_message with its id alone lets it go on, cancel_task ends it"
)


class MissingFolders:
    """Detection of tasks whose folder is gone."""

    def __init__(self, store: Store, workspaces: Workspaces) -> None:
        self._store = store
        self._workspaces = workspaces

    async def of(self, task: Task) -> list[str]:
        """Return the warnings about a task, a sentence each; usually none."""
        held = [_MAY_HAVE_GONE_ON] if is_held(task) else []
        return [*held, *([_GONE] if await self._is_gone(task.id) else [])]

    async def before_turn(self, task: Task) -> list[str]:
        """Return the warnings for a task's next turn."""
        if task.completed_at is not None and (task.workspace_removed_at or 0) >= task.completed_at:
            return [
                f"the task's folder was removed {time(task.workspace_removed_at or 0)} (setting retention.workspaces): "
                "it goes on in an empty one, without the files of its earlier turns"
            ]
        return await self.of(task)

    async def note(self, claim: Claim) -> None:
        """Write a warning to the task's log if the run is about to replace a lost folder by an empty one."""
        had_one = claim.run.fence > 1 or claim.task.files
        if had_one and await self._is_gone(claim.task.id):
            await self._store.append_events(
                claim.run, [RunEvent(EventKind.WARNING, {"message": own_words(_STARTED_EMPTY)})]
            )

    async def _is_gone(self, task_id: str) -> bool:
        return not self._workspaces.has(task_id) and bool(await self._store.maintenance.expected_folders([task_id]))


def is_held(task: Task) -> bool:
    """Return whether a task is held after a restore until a person lets it go on."""
    return task.status is Status.PAUSED and task.blocked_reason == RESTORED
