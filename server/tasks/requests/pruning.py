"""Requests of the command line for removing worktrees and expired tasks."""

from typing import Self

from pydantic import Field, StrictBool, model_validator

from server.tasks.requests.fields import Id, Request


class PruneWorktrees(Request):
    """The removal of worktrees that are no longer needed."""

    ids: list[Id] = Field(default_factory=list, max_length=1000)
    force: StrictBool = False

    @model_validator(mode="after")
    def _losses_are_named(self) -> Self:
        if self.force and not self.ids:
            raise ValueError("ids: is required with force, to name the worktrees whose changes may be lost")
        return self


class PruneTasks(Request):
    """The removal of tasks, folders and logs that have expired."""

    now: StrictBool = False
