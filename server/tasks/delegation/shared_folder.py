"""Shared folders: a sub-task works in its parent's folder, read-write or read-only, or on a worktree of it."""

from dataclasses import replace
from pathlib import PurePath

from server.errors import Code, RemitError
from server.tasks.callers import Caller
from server.tasks.execution.agent_caller import AgentCaller
from server.tasks.requests.parts import WorkspaceRequest
from server.tasks.services import Services
from server.tasks.working_directory import top_folder
from server.tasks.workspaces.selection import check_tier
from storage.records.workspaces import Mode, Workspace

SharedFolder = tuple[Workspace, list[str]]
"""A folder, and warnings about it."""


class FolderSharing:
    """Decides which folder a sub-task gets of its parent's, never with more access than the parent has."""

    def __init__(self, services: Services) -> None:
        self._workspaces = services.workspaces
        self._worktrees = services.worktrees
        self._folders = services.folders
        self._sandbox = services.sandbox

    async def share(self, agent_caller: AgentCaller, request: WorkspaceRequest) -> SharedFolder:
        """Return the folder of a sub-task of the agent's task, and warnings about it.

        Raises RemitError: FORBIDDEN for more access than the task has, VALIDATION_ERROR when there is no repository,
        SANDBOX_UNAVAILABLE for what the sandbox cannot enforce.
        """
        own = agent_caller.claim.workspace
        mode = request.mode or ("worktree" if own and own.repository else "readonly")
        if mode != "readonly" and own and own.mode == "readonly":  # a worktree would write a branch and its objects
            raise RemitError(
                Code.FORBIDDEN,
                "workspace.mode: this task itself may only read the folder; use readonly",
                field="workspace.mode",
            )
        if mode == "worktree":
            return await self._worktree(agent_caller, own)
        shared = self._itself(agent_caller, own, mode, shared=request.shared)
        allow_hooks = agent_caller.claim.task.demands.allow_hooks
        check_tier(shared, (await self._sandbox()).tier, allow_hooks=allow_hooks)
        return shared, []

    def _itself(self, agent_caller: AgentCaller, own: Workspace | None, mode: Mode, *, shared: bool) -> Workspace:
        if own and own.repository is None:
            # Otherwise the sub-task would exclude the tasks that share this folder with its parent, and wait for them.
            return replace(own, mode=mode, shared=shared or (own.shared and mode == "readwrite"))
        path = top_folder(own, self._workspaces.path(agent_caller.claim.task.id))
        borrowed = own.repository.objects if own and own.repository else ()
        return Workspace(mode=mode, path=str(path), shared=shared, owner="task", reaches=(str(path), *borrowed))

    async def _worktree(self, agent_caller: AgentCaller, own: Workspace | None) -> SharedFolder:
        if own is None or own.owner == "task":
            raise RemitError(
                Code.VALIDATION_ERROR,
                "workspace.mode: worktree is possible only if this task works in a user's git repository; use readonly "
                "or readwrite",
                field="workspace.mode",
            )
        if own.repository is None:
            there = Caller(agent_caller.principal, person=False, folder=None)
            asked = WorkspaceRequest(path=own.path, mode="worktree")
            workspace, warnings = await self._folders.choose(there, asked)
            # The parent may have written the links that lead from there to git's files, and on to others.
            if workspace.repository is None or workspace.repository.top != own.path or not _is_known(workspace, own):
                raise RemitError(
                    Code.FORBIDDEN,
                    "workspace.mode: a worktree would show files outside this task's folder; use readonly or readwrite",
                    field="workspace.mode",
                )
            return workspace, warnings
        commit, is_all = await self._worktrees.carried(agent_caller.claim.task.id, agent_caller.variables)
        repository = replace(own.repository, base=commit)
        unseen = [] if is_all else ["the sub-task does not see what is not committed"]
        return Workspace(
            mode="worktree", path=own.path, shared=False, reaches=own.reaches, repository=repository
        ), unseen


def _is_known(workspace: Workspace, own: Workspace) -> bool:
    """Return whether a workspace shows only what the task's own folder does."""
    known = (own.path, *own.reaches)
    return all(any(map(PurePath(folder).is_relative_to, known)) for folder in workspace.reaches)
