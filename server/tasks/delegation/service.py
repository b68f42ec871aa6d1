"""Delegation: what the agent of a task may do with sub-tasks. All its rights are decided here.

An agent is no `Caller`; this module alone makes one of it.
"""

from collections.abc import Awaitable, Callable, Iterable
from hashlib import sha256
from typing import NoReturn, TypeVar

from server.errors import Code, RemitError
from server.runner.workspace.upload import Upload
from server.tasks import validation
from server.tasks.callers import Caller
from server.tasks.creation import idempotency
from server.tasks.delegation.inheritance import Inheritance
from server.tasks.delegation.shared_folder import FolderSharing
from server.tasks.delegation.upload_quota import UploadQuota
from server.tasks.execution.agent_caller import AgentCaller
from server.tasks.id_prefixes import R as Named
from server.tasks.id_prefixes import complete_ids
from server.tasks.requests.listing import ListTasks
from server.tasks.requests.request_models import CancelTask, CreateTask, GetTask, SendMessage
from server.tasks.requests.stored_texts import stored_texts
from server.tasks.service import TaskService
from server.tasks.services import Services
from server.tasks.views import view_models
from storage.errors import not_found
from storage.records.states import ENDED

R = TypeVar("R")
W = TypeVar("W", CreateTask, SendMessage)

MAX_TOOL_NAME = 100
"""Characters of an unknown tool's name in an error; cut as it is masked."""

_ATTEMPTS = frozenset({Code.FORBIDDEN, Code.NOT_FOUND, Code.LIMIT_EXCEEDED})
LISTED = frozenset({"limit", "offset", "cursor", "status", "parent_task_id"})


class DelegationService:
    """The sub-task operations of agents. Methods raise RemitError; NOT_FOUND for a task not beneath the agent's."""

    def __init__(self, tasks: TaskService, services: Services) -> None:
        self._tasks = tasks
        self._store = services.store
        self._settings = services.settings
        self._speaks = {name: agent.speaks for name, agent in services.agents.items()}
        self._sharing = FolderSharing(services)
        self._quota = UploadQuota(services.workspaces, services.settings)

    async def create(self, agent_caller: AgentCaller, request: CreateTask) -> view_models.CreatedView:
        """Create a sub-task of the agent's task."""

        async def made() -> view_models.CreatedView:
            agent_caller.count_change()
            narrowed = self.inheritance(agent_caller).task(request, speaks=self._speaks)
            for needed in request.depends_on:
                await self._check_beneath(agent_caller, needed, field="dependsOn")
            await _check_texts(agent_caller, stored_texts(request))
            wanted = _with_own_key(agent_caller, narrowed)
            shared = await self._sharing.share(agent_caller, wanted.workspace) if wanted.workspace else None
            with self._quota.spent(agent_caller.claim, await self._uploads(agent_caller, wanted)):
                return await self._tasks.create(_caller(agent_caller), wanted, shared)

        return await self._noted(agent_caller, "create_task", made)

    async def complete_ids(self, agent_caller: AgentCaller, request: Named) -> Named:
        """Return the request with complete ids, where it gave prefixes of ids beneath the agent's task."""
        return await complete_ids(self._store, agent_caller.principal, request, agent_caller.claim.run.seq)

    async def page(self, agent_caller: AgentCaller, request: ListTasks) -> view_models.PageView:
        """Return a page of sub-tasks of the agent's task, or of one beneath it."""

        async def found() -> view_models.PageView:
            if beyond := sorted(request.model_fields_set - LISTED):
                name = ListTasks.model_fields[beyond[0]].alias or beyond[0]
                raise RemitError(
                    Code.FORBIDDEN, f"{name}: cannot be used by the agent of a task; leave it out", field=name
                )
            own = agent_caller.claim.task.id
            if request.parent_task_id not in (None, own):
                await self._check_beneath(agent_caller, request.parent_task_id or "", field="parentTaskId")
            beneath = request.model_copy(update={"parent_task_id": request.parent_task_id or own})
            return await self._tasks.page(_caller(agent_caller), beneath)

        return await self._noted(agent_caller, "list_tasks", found)

    async def get(self, agent_caller: AgentCaller, request: GetTask) -> view_models.TaskView:
        """Return a task beneath the agent's. A wait is for its end."""

        async def got() -> view_models.TaskView:
            await self._check_beneath(agent_caller, request.id)
            if "graph" in request.include:  # it shows tasks of others, if they depend on this one
                raise RemitError(
                    Code.FORBIDDEN,
                    "include: the agent of a task cannot ask for the graph; leave it out",
                    field="include",
                )
            return await self._tasks.get(_caller(agent_caller), request)

        return await self._noted(agent_caller, "get_task", got)

    async def send(self, agent_caller: AgentCaller, request: SendMessage) -> view_models.StatusView:
        """Open the next turn of a task beneath the agent's."""

        async def sent() -> view_models.StatusView:
            agent_caller.count_change()
            await self._check_beneath(agent_caller, request.id)
            await _check_texts(agent_caller, stored_texts(request))
            had = await self._store.secret_names(agent_caller.principal, request.id)
            wanted = _with_own_key(agent_caller, self.inheritance(agent_caller).message(request, had))
            with self._quota.spent(agent_caller.claim, await self._uploads(agent_caller, wanted)):
                return await self._tasks.send(_caller(agent_caller), wanted)

        return await self._noted(agent_caller, "send_message", sent)

    async def cancel(self, agent_caller: AgentCaller, request: CancelTask) -> view_models.StatusView:
        """Cancel a task beneath the agent's."""

        async def cancelled() -> view_models.StatusView:
            agent_caller.count_change()
            await self._check_beneath(agent_caller, request.id)
            return await self._tasks.cancel(_caller(agent_caller), request)

        return await self._noted(agent_caller, "cancel_task", cancelled)

    async def forbid(self, agent_caller: AgentCaller, tool: str) -> NoReturn:
        """Refuse a tool that agents may not use; its name may be of any length, and hold a secret."""
        masker = agent_caller.variables.masker
        shown = await masker.text(tool[: MAX_TOOL_NAME + masker.longest], 0, MAX_TOOL_NAME)

        async def refused() -> NoReturn:
            raise RemitError(Code.FORBIDDEN, f"{shown}: the agent of a task may only create sub-tasks and manage them")

        await self._noted(agent_caller, shown, refused)

    async def has_open_subtask(self, agent_caller: AgentCaller, task_id: str) -> bool:
        """Return whether there is such a task beneath the agent's that has not ended."""
        if not await self._store.is_beneath(agent_caller.principal, task_id, agent_caller.claim.run.seq):
            return False
        return (await self._store.task(agent_caller.principal, task_id)).status not in ENDED

    def inheritance(self, agent_caller: AgentCaller) -> Inheritance:
        """Return what the agent's task can pass on to sub-tasks."""
        return Inheritance(agent_caller.claim, agent_caller.variables.secrets, self._settings)

    async def _uploads(self, agent_caller: AgentCaller, wanted: CreateTask | SendMessage) -> list[Upload]:
        """Return the files that count against the quota: those of a request that was not carried out before."""
        return await idempotency.new_uploads(self._store, agent_caller.principal, wanted)

    async def _check_beneath(self, agent_caller: AgentCaller, task_id: str, *, field: str | None = None) -> None:
        if not await self._store.is_beneath(agent_caller.principal, task_id, agent_caller.claim.run.seq):
            raise not_found(task_id, field)

    async def _noted(self, agent_caller: AgentCaller, tool: str, do: Callable[[], Awaitable[R]]) -> R:
        try:
            return await do()
        except RemitError as error:
            if error.code in _ATTEMPTS:
                await agent_caller.attempted(error.code, error.message, tool)
            raise


async def _check_texts(agent_caller: AgentCaller, texts: Iterable[tuple[str, str]]) -> None:
    """Refuse texts that contain any secret of the task, whether it is passed on or not."""
    await validation.refuse_secrets(agent_caller.variables.masker, texts)


def _with_own_key(agent_caller: AgentCaller, wanted: W) -> W:
    """Return the request with its idempotency key bound to the agent's task, so that no other task can collide."""
    if wanted.idempotency_key is None:
        return wanted
    key = sha256(f"{agent_caller.claim.task.id}\0{wanted.idempotency_key}".encode()).hexdigest()
    return wanted.model_copy(update={"idempotency_key": key})


def _caller(agent_caller: AgentCaller) -> Caller:
    return Caller(agent_caller.principal, person=False, folder=None, agent=agent_caller.claim.run.seq)
