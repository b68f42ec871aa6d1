"""The service layer: one method for each operation of a user, called by every interface."""

from collections.abc import Sequence

import anyio

from server.agents.interface import Agent, Readiness
from server.errors import Code, RemitError
from server.tasks import validation, waiting
from server.tasks.approvals.decisions import Decisions
from server.tasks.callers import Caller
from server.tasks.creation import inputs
from server.tasks.creation.creator import TaskCreator
from server.tasks.creation.follow_ups import FollowUps
from server.tasks.execution.scheduler import Scheduler
from server.tasks.execution.stopping import Stopping
from server.tasks.id_prefixes import R, complete_ids
from server.tasks.locks import KeyedLock
from server.tasks.maintenance import Maintenance, periods
from server.tasks.requests.listing import ListTasks
from server.tasks.requests.pruning import PruneTasks, PruneWorktrees
from server.tasks.requests.request_models import (
    ApproveToolCall,
    CancelTask,
    CreateTask,
    DeleteTask,
    GetTask,
    GetTaskGraph,
    ListAgents,
    ListGrants,
    ListWorktrees,
    ReadArtifacts,
    RevokeGrant,
    SendMessage,
    UpdateTask,
)
from server.tasks.requests.stored_texts import stored_texts
from server.tasks.services import Services
from server.tasks.views import graph_view, list_view, pending_approval, task_view, view_models, workspace_view
from server.tasks.workspaces.artifacts import Artifacts
from server.tasks.workspaces.losses import MissingFolders
from storage.errors import DatabaseError
from storage.records.lists import NOTHING
from storage.records.states import ENDED
from storage.records.tasks import Snapshot, Update
from storage.records.workspaces import Workspace
from storage.times import now

MAX_DELETED = 500
"""Ids in one answer."""

MAX_EVENTS = 500
"""Events in one answer."""


class TaskService:
    """The operations on tasks. Every method raises RemitError for an error that the caller can correct."""

    def __init__(self, services: Services, scheduler: Scheduler, notices: Sequence[str]) -> None:
        """Create the service. `notices` are warnings that every new task and message gets."""
        self._services = services
        self._store = services.store
        self._worktrees = services.worktrees
        self._settings = services.settings
        self._artifacts = Artifacts(services.store, services.vault, services.workspaces, services.folders)
        self._losses = MissingFolders(services.store, services.workspaces)
        self._scheduler = scheduler
        self._stopping = Stopping(services.store, scheduler)
        self._retention = periods(services.settings.retention)
        self._creator = TaskCreator(services, scheduler.poke, notices)
        self._follow_ups = FollowUps(services, scheduler.poke, notices)
        self._decisions = Decisions(services.store, services.vault, scheduler.poke, services.settings)
        self.locks = KeyedLock()
        self.maintenance = Maintenance(
            services.store, services.workspaces, services.worktrees, self.locks, self._retention
        )

    async def create(
        self, caller: Caller, request: CreateTask, shared: tuple[Workspace, list[str]] | None = None
    ) -> view_models.CreatedView:
        """Create a task. It is stored when this returns, and starts as soon as a slot is free.

        `shared` is the folder it works in and the warnings about it, for a sub-task whose folder delegation has chosen;
        the workspace of the request then does not count.
        """
        created, warnings = await self._creator.create(caller, request, shared)
        return view_models.CreatedView(id=created.id, status=created.status, warnings=warnings)

    async def complete_ids(self, caller: Caller, request: R) -> R:
        """Return the request with complete task ids where it gave prefixes. Raises RemitError: as in `id_prefixes`."""
        return await complete_ids(self._store, caller.principal, request, caller.agent)

    async def page(self, caller: Caller, request: ListTasks) -> view_models.PageView:
        """Return a page of tasks, most recently active first."""
        limit, offset = list_view.stretch(request)
        after, known = list_view.before(request)
        if not list_view.concerns(caller.principal, request):
            return list_view.page(request, caller.principal, NOTHING)
        page = await self._store.find(
            caller.principal, list_view.wanted(request, caller.agent), limit, offset, after, known
        )
        return list_view.page(request, caller.principal, page)

    async def get(self, caller: Caller, request: GetTask) -> view_models.TaskView:
        """Return a task. With `wait_seconds`, first wait until it has ended, needs somebody, or the time is over.

        With `after_event`, or after a wait that timed out, return only what came after that event or during the wait.
        """
        since = request.after_event or None  # 0: the caller knows no event yet, and gets the whole task
        if request.patience:
            before = await waiting.wait(self._store, caller, request)
            since = before if since is None else since
        snapshot = await self._snapshot(caller, request, since)
        if not request.after_event and since is not None and snapshot.task.status in ENDED:
            since = None  # it ended between the timeout and the snapshot: show the whole task
            snapshot = await self._snapshot(caller, request, since)
        folder = str(self._worktrees.folder(request.id))
        notes = await self._losses.of(snapshot.task) if since is None else []
        if unwritten := self._scheduler.unwritten(request.id):
            notes.append(unwritten)
        return task_view.task(snapshot, self._retention, request, since=since, folder=folder, notes=notes)

    async def _snapshot(self, caller: Caller, request: GetTask, since: int | None) -> Snapshot:
        return await self._store.snapshot(
            caller.principal,
            request.id,
            messages="messages" in request.include,
            graph="graph" in request.include,
            events_after=since or 0 if "events" in request.include else None,
            max_events=MAX_EVENTS,
            asker=caller.agent,
            since=since,
        )

    async def approve(self, caller: Caller, request: ApproveToolCall) -> view_models.ApprovedView:
        """Record the decision on a call that waits for approval. A call is decided once."""
        return await self._decisions.approve(caller, request)

    async def send(self, caller: Caller, request: SendMessage) -> view_models.StatusView:
        """Open the next turn of an ended task, or give a blocked or paused one its lost secrets or further tool calls.

        A message whose idempotency key was used before changes nothing.
        """
        await self._scheduler.ends.catch_up(caller.principal, request.id)
        await self._stopping.until_cancelled(caller.principal, request.id)
        # One message at a time for each task: a refused one must not deliver its files and secrets.
        async with self.locks(request.id):
            sent = await self._follow_ups.send(caller, request)
        if sent.repeated:
            return view_models.StatusView(id=sent.task.id, status=sent.task.status)
        return view_models.StatusView(id=sent.task.id, status=sent.task.status, warnings=list(sent.warnings))

    async def update(self, caller: Caller, request: UpdateTask) -> view_models.StatusView:
        """Change the fields that the request names: all of them or none."""
        await validation.refuse_values(self._services.vault.known(request.id), stored_texts(request))
        wanted = Update(
            columns=request.columns,
            depends_on=request.depends_on,
            max_calls=request.max_calls,
            status=request.target,
            blocked_reason=request.blocked_reason,
            result=request.result,
            error=request.error,
        )
        with anyio.CancelScope(shield=True):  # tasks that the change has unblocked must be started
            task = await self._store.update(caller.principal, request.id, wanted)
            self._scheduler.poke()
        return view_models.StatusView(id=task.id, status=task.status)

    async def graph(self, caller: Caller, request: GetTaskGraph) -> view_models.GraphView:
        """Return the dependency graph of a task list."""
        graph = await self._store.graph(caller.principal, request.task_list_id, request.limit, request.offset)
        return graph_view.graph(graph, request)

    async def cancel(self, caller: Caller, request: CancelTask) -> view_models.StatusView:
        """Cancel a task and its sub-tasks, and end their processes. Cancelling again changes nothing."""
        await self._stopping.end(caller.principal, [request.id])
        task = await self._store.task(caller.principal, request.id)
        view = view_models.StatusView(id=task.id, status=task.status)
        if task.cancel_requested:
            view["cancelRequested"] = True
        return view

    async def delete(self, caller: Caller, request: DeleteTask) -> view_models.DeletedView:
        """Delete a task with its sub-tasks, and with `cascade` its dependants. Running ones are cancelled first."""
        open_tasks = await self._store.open_deletion_set(caller.principal, request.id, cascade=request.cascade)
        await self._stopping.end(caller.principal, open_tasks)
        try:
            deleted = await self._deleted(caller, request)
        except DatabaseError as error:
            if not open_tasks:
                raise
            raise RemitError(
                Code.EXECUTION_ERROR,
                f"the task was ended, but cannot be deleted now: the database failed ({error.reason}); delete it again",
            ) from error
        return view_models.DeletedView(deletedTaskIds=deleted[-MAX_DELETED:], deletedCount=len(deleted))

    async def _deleted(self, caller: Caller, request: DeleteTask) -> list[str]:
        """Delete a task that does not run, and what is deleted with it. Returns the ids of all of them."""
        going = await self._store.removable(caller.principal, request.id, cascade=request.cascade)
        with_worktree = {each.task_id for each in await self._store.worktrees()}.intersection(going)
        async with self.locks.all(with_worktree):  # a turn opened meanwhile would leave a worktree without a task
            await self._worktrees.discard_all(going)
            with anyio.CancelScope(shield=True):
                deleted = await self._store.delete(caller.principal, request.id, cascade=request.cascade)
                await inputs.forget(self._services, deleted)
        return deleted

    async def read_artifacts(self, caller: Caller, request: ReadArtifacts) -> view_models.ArtifactsView:
        """Return a page of a task's files, or a piece of one of them."""
        if request.path is None:
            return await self._artifacts.page(caller, request)
        return await self._artifacts.piece(caller, request, request.path)

    async def worktrees(self, caller: Caller, request: ListWorktrees) -> view_models.WorktreesView:
        """Return the caller's worktrees, those included that were made or removed only in part."""
        found = [each for each in await self._store.worktrees() if each.principal == caller.principal.id]
        return view_models.WorktreesView(
            worktrees=[workspace_view.worktree(each, self._worktrees.folder(each.task_id)) for each in found]
        )

    async def prune(self, caller: Caller, request: PruneWorktrees) -> view_models.PrunedView:
        """Remove worktrees of ended tasks: those named, or all whose removal loses nothing.

        Raises RemitError (NOT_FOUND) for a named one that does not exist.
        """
        known = {each.task_id: each for each in await self._store.worktrees() if each.principal == caller.principal.id}
        for task_id in request.ids:
            if task_id not in known:
                raise RemitError(Code.NOT_FOUND, f"there is no worktree of a task {task_id!r}", id=task_id)
        over = [task_id for task_id, each in known.items() if each.is_over]
        pruned, kept = [], []
        for task_id in request.ids or over:
            try:
                async with self.locks(task_id):
                    await self._worktrees.discard(task_id, force=request.force)
            except RemitError as error:
                if request.ids:
                    raise
                kept.append(error.message)
            else:
                pruned.append(task_id)
        return view_models.PrunedView(prunedTaskIds=pruned, kept=kept)

    async def prune_tasks(self, caller: Caller, request: PruneTasks) -> view_models.PrunedTasksView:
        """Remove now what retention keeps no longer. With `now`, do so even if the system clock is doubted."""
        removed = await self.maintenance.prune(now(), regardless=request.now)
        return view_models.PrunedTasksView(removedCount=removed)

    async def agents(self, caller: Caller, request: ListAgents) -> view_models.AgentsView:
        """Return the agents with their readiness, and the sandbox that their commands run in."""
        tier: str = "unavailable"
        gaps: tuple[str, ...] = ()
        needs = None
        try:
            sandbox = await self._services.sandbox()
            tier, gaps = sandbox.tier, sandbox.gaps
        except RemitError as error:
            needs = error.message
        return view_models.AgentsView(
            agents=[_agent(agent, await agent.readiness(), needs) for agent in self._services.agents.values()],
            default=self._settings.default_agent,
            approvals=self._decisions.who(caller, "approvals"),
            always=self._decisions.who(caller, "always"),
            settingsNotInForce=list(caller.settings_not_in_force),
            sandbox=tier,
            notHeld=list(gaps) if caller.person else _counted(gaps),
            secretNames=sorted(self._settings.secrets),
            mcpServers=sorted(self._settings.mcp_servers),
        )

    def may_decide(self, caller: Caller) -> bool:
        """Return whether this caller may approve calls."""
        return caller.person or self._decisions.who(caller, "approvals") == "caller"

    async def grants(self, caller: Caller, request: ListGrants) -> pending_approval.GrantsView:
        """Return the standing approvals ("always") that are in force."""
        return await self._decisions.grants(caller)

    async def revoke(self, caller: Caller, request: RevokeGrant) -> pending_approval.RevokedView:
        """Revoke a standing approval."""
        return await self._decisions.revoke(caller, request)


def _counted(gaps: Sequence[str]) -> list[str]:
    """Summarize what a sandbox does not enforce in one line: models call this often, and the list never changes."""
    return [f"{len(gaps)} things that this sandbox does not hold: `remit doctor` names each"] if gaps else []


def _agent(agent: Agent, readiness: Readiness, sandbox_needs: str | None) -> view_models.AgentView:
    needs = sandbox_needs or readiness.needs
    view = view_models.AgentView(id=agent.id, description=agent.description, ready=needs is None)
    if needs:
        view["needs"] = needs
    if readiness.version:
        view["version"] = readiness.version
    if readiness.notes:
        view["notes"] = list(readiness.notes)
    return view
