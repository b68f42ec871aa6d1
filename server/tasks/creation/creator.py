"""Creation of tasks: the order of all checks of a new one, then its delivery and its place in the store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import anyio

from server.tasks import sandbox_policy, validation
from server.tasks.callers import Caller
from server.tasks.creation import idempotency, inputs
from server.tasks.creation.assignment import Assignment, AssignmentChecks
from server.tasks.creation.new_task import new_task
from server.tasks.creation.warnings import general_warnings
from server.tasks.requests.request_models import CreateTask
from server.tasks.requests.stored_texts import stored_texts
from server.tasks.services import Services
from server.tasks.workspaces.selection import check_tier
from server.tier_names import TierName, confines
from storage.records.tasks import NOBODY, CreationResult, NewTask
from storage.records.workspaces import Workspace

UNCONFINED = 'this server runs commands without a sandbox (sandbox = "off"): they can do all that its user can'
"""The warning of a new task where the setting `sandbox` is off."""


class TaskCreator:
    """Creates tasks. A request is carried out completely or not at all."""

    def __init__(self, services: Services, poke: Callable[[], None], notices: Sequence[str]) -> None:
        """Create the creator. `poke` is called once a task may be claimed; `notices` are warnings for each task."""
        self._services = services
        self._checks = AssignmentChecks(services)
        self._poke = poke
        self._notices = notices

    async def create(
        self, caller: Caller, request: CreateTask, shared: tuple[Workspace, list[str]] | None
    ) -> tuple[CreationResult, list[str]]:
        """Check a new task, deliver its files and secrets, and store it. Returns it with warnings, a sentence each.

        `shared` is as in `TaskService.create`. A request whose idempotency key created a task before makes none.
        """
        store, settings = self._services.store, self._services.settings
        if "agent_id" not in request.model_fields_set:
            request = request.model_copy(update={"agent_id": settings.default_agent})
        digest, earlier = await idempotency.created_before(store, caller.principal, request)
        if earlier:
            return earlier, []
        asked = self._assignment(request)
        left_out = await self._checks.agent(asked)
        tier = await self._tier(request)
        workspace, notes = shared or await self._workspace(caller, request)
        values = await self._checks.secrets(asked)
        new = new_task(caller, request, asked, settings, digest=digest, tier=tier)
        created = await self._stored(caller, request, replace(new, workspace=workspace), values)
        unconfined = [UNCONFINED] if tier and not confines(tier) else []
        return created, [*unconfined, *left_out, *notes, *general_warnings(caller, values, self._notices)]

    def _assignment(self, request: CreateTask) -> Assignment:
        given = {*request.secret_names, *request.secrets}
        own = self._services.settings.agents.of(request.agent_id).secrets
        return Assignment(
            agent=request.agent_id,
            message=request.message,
            env=request.env,
            literals=request.secrets,
            names=[*request.secret_names, *(name for name in own if name not in given)],
            texts=stored_texts(request),
            mcp_servers=request.mcp_servers,
        )

    async def _tier(self, request: CreateTask) -> TierName | None:
        """Return the sandbox tier of a new task; None for one that this server does not execute."""
        if request.agent_id == NOBODY:
            return None
        sandbox = await self._services.sandbox()
        sandbox_policy.check(self._services.settings, request.agent_id, sandbox, validation.demands(request))
        return sandbox.tier

    async def _workspace(self, caller: Caller, request: CreateTask) -> tuple[Workspace | None, list[str]]:
        """Return the user's folder that a task asks to work in, if any, and warnings about it."""
        if request.workspace is None:
            return None, []
        workspace, warnings = await self._services.folders.choose(caller, request.workspace)
        sandbox = await self._services.sandbox()
        check_tier(workspace, sandbox.tier, allow_hooks=request.allow_hooks)
        return workspace, [*warnings, *await self._services.worktrees.unseen(workspace, request.agent_id)]

    async def _stored(
        self, caller: Caller, request: CreateTask, new: NewTask, values: Mapping[str, str]
    ) -> CreationResult:
        """Store a task with its files and secrets in place."""
        uploads = await validation.uploads(request.files)
        new = replace(new, files=await validation.versions(uploads))
        with anyio.CancelScope(shield=True):  # a caller that gives up must not leave half a task behind
            await inputs.deliver(self._services, caller, new, uploads, values)
            try:
                created = await self._services.store.create_task(caller.principal, new)
            except BaseException:
                await inputs.withdraw(self._services, new.id)
                raise
            if created.repeated:
                await inputs.withdraw(self._services, new.id)
            elif uploads:
                self._services.workspaces.keep(new.id)
        self._poke()
        return created
