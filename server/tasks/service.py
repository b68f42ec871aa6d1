"""The heart: one method for each thing a user can do, the same for every face."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex, token_urlsafe
from uuid import uuid4
from weakref import WeakValueDictionary

import anyio
from anyio import to_thread

from server.agents.interface import Agent
from server.config import Settings
from server.errors import Code, RemitError
from server.runner.sandbox import Sandbox
from server.runner.workspace import Workspaces
from server.tasks import checks, limits, rendering, views
from server.tasks.requests import (
    ApproveToolCall,
    CancelTask,
    CreateTask,
    DeleteTask,
    GetTask,
    ListAgents,
    ListGrants,
    ListTasks,
    RevokeGrant,
    SendMessage,
)
from server.tasks.scheduler import Scheduler
from server.tasks.secrets import Secrets
from server.tasks.work import environment
from storage.records import Created, Decision, NewTask, NewTurn, Principal, Task
from storage.records import SecretSource as Origin
from storage.states import ENDED, Status
from storage.store import Store, now
from templates.redaction import MIN_MASKED, Redactor

CANCEL_SECONDS = 5
"""How long an answer waits for a cancelled task to be gone; more than that breaks a promise."""

MAX_EVENTS = 500
"""Events in one answer."""

UNCONFINED = 'this server runs commands without a sandbox (sandbox = "off"): they can do all that its user can'

_GOES_ON = frozenset({Status.PENDING, Status.RUNNING})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `person` where the face is a terminal, and the folder on this machine it was started in."""

    principal: Principal
    person: bool
    folder: Path | None


class Tasks:
    """Everything a user can do with tasks. Every method raises RemitError for what the caller can mend."""

    def __init__(
        self,
        store: Store,
        agents: Mapping[str, Agent],
        secrets: Secrets,
        sandbox: Callable[[], Awaitable[Sandbox]],
        workspaces: Workspaces,
        scheduler: Scheduler,
        settings: Settings,
        notices: Sequence[str],
    ) -> None:
        self._store = store
        self._agents = agents
        self._secrets = secrets
        self._sandbox = sandbox
        self._workspaces = workspaces
        self._scheduler = scheduler
        self._settings = settings
        self._notices = notices
        self._following: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    async def create(self, caller: Caller, request: CreateTask) -> views.CreatedView:
        """Make a task; it is durable when this returns, and starts as soon as there is a place."""
        digest = checks.digest(request)
        created = await self._store.repeated(caller.principal, request.idempotency_key, digest)
        if created:
            return views.CreatedView(id=created.id, status=created.status, warnings=[])
        self._agent(request.agent_id).check(request.message)
        sandbox = await self._sandbox()
        limits.check(self._settings, request.agent_id, sandbox, checks.demands(request))
        values = await self._values(request.secrets, request.secret_names)
        redactor = Redactor(values)
        checks.no_secrets(redactor, checks.task_texts(request))
        environment(request.env, values)
        created = await self._create(caller, request, self._new_task(request, digest, sandbox.tier), values)
        unconfined = [UNCONFINED] if sandbox.tier == "off" else []
        warnings = [*unconfined, *self._warnings(redactor)]
        return views.CreatedView(id=created.id, status=created.status, warnings=warnings)

    async def page(self, caller: Caller, request: ListTasks) -> views.PageView:
        """A page of tasks, most recently active first."""
        page, waiting = await self._store.page(caller.principal, request.statuses, request.limit, request.offset)
        shown = [rendering.row(task, waiting.get(task.seq, 0)) for task in page.tasks]
        return views.PageView(
            tasks=shown,
            count=len(shown),
            total=page.total,
            limit=request.limit,
            offset=request.offset,
            hasMore=request.offset + len(shown) < page.total,
        )

    async def get(self, caller: Caller, request: GetTask) -> views.TaskView:
        """A task with its output; with `wait_seconds` once something has happened to it, or the time is over."""
        if request.wait_seconds:
            await self._wait(caller, request)
        wants_events = "events" in request.include
        snapshot = await self._store.snapshot(
            caller.principal,
            request.id,
            messages="messages" in request.include,
            events_after=request.after_event or 0 if wants_events else None,
            max_events=MAX_EVENTS,
        )
        return rendering.task(snapshot, request.max_chars, list(request.include))

    async def approve(self, caller: Caller, request: ApproveToolCall) -> views.ApprovedView:
        """Answer a waiting call, once."""
        if self._settings.approvals == "person" and not caller.person:
            raise RemitError(
                Code.FORBIDDEN,
                'approvals are given by a person here (approvals = "person"): ask them to run '
                f"`remit approve {request.id} {request.call_id}` in a terminal",
            )
        wanted = await self._store.secret_names(caller.principal, request.id)
        checks.no_secrets(Redactor(self._secrets.known(request.id)), [("message", request.message or "")])
        decision = Decision(
            outcome=request.outcome,
            by=f"{caller.principal.name} ({'terminal' if caller.person else 'tool call'})",
            reason=request.message,
            grant=f"grant_{token_hex(8)}",
            session_expires_at=self._session_end(),
        )
        with anyio.CancelScope(shield=True):  # a caller that gives up must not leave a decision without effect
            decided = await self._store.decide_call(
                caller.principal,
                request.id,
                request.call_id,
                decision,
                secrets_at_hand=not self._secrets.missing(request.id, wanted),
            )
            self._scheduler.poke()
        return views.ApprovedView(approved=request.outcome != "cancel", status=decided.status)

    async def send(self, caller: Caller, request: SendMessage) -> views.StatusView:
        """Open the next turn of an ended task, or bring a blocked one the secrets it waits for."""
        await self._until_stopped(caller, request.id, only_cancelled=True)
        # One at a time for each task: a message that is refused must not have brought its files and secrets.
        async with self._following.setdefault(request.id, anyio.Lock()):
            task = await self._store.task(caller.principal, request.id)
            wanted = await self._store.secret_names(caller.principal, request.id)
            follow = self._open_turn if task.status in ENDED else self._bring_secrets
            task = await follow(caller, request, task, wanted)
        return views.StatusView(id=task.id, status=task.status, warnings=self._warnings(Redactor(request.literals)))

    async def cancel(self, caller: Caller, request: CancelTask) -> views.StatusView:
        """End a task and everything it has started; asking again changes nothing."""
        with anyio.CancelScope(shield=True):  # a caller that gives up must not leave a cancelled task running
            status = await self._store.cancel(caller.principal, request.id)
            if status is Status.RUNNING:
                self._scheduler.stop(request.id)
            elif status is Status.CANCELLED:
                self._secrets.drop(request.id)
        await self._until_stopped(caller, request.id)
        task = await self._store.task(caller.principal, request.id)
        view = views.StatusView(id=task.id, status=task.status)
        if task.cancel_requested:
            view["cancelRequested"] = True
        return view

    async def delete(self, caller: Caller, request: DeleteTask) -> views.DeletedView:
        """Remove a task and its workspace; one that runs is cancelled first."""
        await self.cancel(caller, CancelTask(id=request.id))
        with anyio.CancelScope(shield=True):
            await self._store.delete(caller.principal, request.id)
            await self._forget(request.id)
        return views.DeletedView(deletedTaskIds=[request.id], deletedCount=1)

    async def agents(self, caller: Caller, request: ListAgents) -> views.AgentsView:
        """Who can be asked, and what holds them."""
        tier: str = "unavailable"
        gaps: tuple[str, ...] = ()
        needs = None
        try:
            sandbox = await self._sandbox()
            tier, gaps = sandbox.tier, sandbox.gaps
        except RemitError as error:
            needs = error.message
        return views.AgentsView(
            agents=[_agent(agent, needs) for agent in self._agents.values()],
            default="shell",
            approvals=self._settings.approvals,
            sandbox=tier,
            notHeld=list(gaps),
            secretNames=sorted(self._settings.secrets),
        )

    async def grants(self, caller: Caller, request: ListGrants) -> views.GrantsView:
        """What was approved for always and is still in force."""
        return views.GrantsView(grants=[rendering.grant(grant) for grant in await self._store.grants(caller.principal)])

    async def revoke(self, caller: Caller, request: RevokeGrant) -> views.RevokedView:
        """Take a grant back."""
        await self._store.revoke_grant(caller.principal, request.id)
        return views.RevokedView(id=request.id)

    def _agent(self, agent_id: str) -> Agent:
        agent = self._agents.get(agent_id)
        if agent is None:
            known = ", ".join(self._agents)
            raise RemitError(Code.AGENT_UNAVAILABLE, f"agentId: there is no agent {agent_id!r} (known: {known})")
        return agent

    async def _values(self, literals: Mapping[str, str], names: list[str]) -> dict[str, str]:
        if both := sorted(set(literals).intersection(names)):
            raise RemitError(
                Code.VALIDATION_ERROR,
                f"{both[0]} stands in secrets and in secretNames; give it once",
                field="secretNames",
            )
        return {**await self._secrets.read(names), **literals}

    def _new_task(self, request: CreateTask, digest: str, sandbox: str) -> NewTask:
        return NewTask(
            id=str(uuid4()),
            agent=request.agent_id,
            message=request.message,
            title=request.title,
            system_prompt=request.system_prompt,
            show_in_history=request.show_in_history,
            auto_execute=request.auto_execute,
            env=request.env or None,
            secrets=checks.origins(request.secrets, request.secret_names),
            metadata=request.metadata,
            demands=checks.demands(request),
            sandbox=sandbox,
            timeout_seconds=request.timeout_seconds or self._settings.timeout,
            idempotency_key=request.idempotency_key,
            request_digest=digest,
            conversation=token_urlsafe(16),
            session=token_urlsafe(16),
            session_expires_at=self._session_end(),
        )

    async def _create(self, caller: Caller, request: CreateTask, new: NewTask, values: Mapping[str, str]) -> Created:
        uploads = checks.uploads(request.files)
        with anyio.CancelScope(shield=True):  # a caller that gives up must not leave half a task behind
            if uploads:
                await to_thread.run_sync(partial(self._workspaces.create, new.id, uploads, source_root=caller.folder))
            self._secrets.keep(new.id, values, new.secrets)
            try:
                created = await self._store.create_task(caller.principal, new)
            except BaseException:
                await self._forget(new.id)
                raise
            if created.repeated:
                await self._forget(new.id)
        self._scheduler.poke()
        return created

    async def _forget(self, task_id: str) -> None:
        """Drop what belongs to a task outside the store."""
        self._secrets.drop(task_id)
        await to_thread.run_sync(self._workspaces.remove, task_id)

    async def _open_turn(self, caller: Caller, request: SendMessage, task: Task, had: Mapping[str, Origin]) -> Task:
        if request.message is None:
            raise RemitError(Code.VALIDATION_ERROR, "message: an ended task needs one to go on", field="message")
        self._agent(task.agent).check(request.message)
        checks.literals_are_sent(had, request)
        names = [name for name, origin in had.items() if origin == "named" and name not in request.secrets]
        names += [name for name in request.secret_names if name not in names]
        values = await self._values(request.literals, names)
        checks.no_secrets(Redactor(values), checks.message_texts(request))
        env = checks.merged(request, task.env or {})
        environment(env, values)
        new = NewTurn(
            message=request.message,
            env=env or None,
            secrets=checks.origins(request.literals, names),
            session=token_urlsafe(16),
            session_expires_at=self._session_end(),
        )
        with anyio.CancelScope(shield=True):  # a caller that gives up must not leave half a turn behind
            await self._upload(caller, request)
            self._secrets.keep(task.id, values, new.secrets)
            try:
                opened = await self._store.open_turn(caller.principal, task.id, new)
            except RemitError:
                self._secrets.drop(task.id)
                raise
            self._scheduler.poke()
        return opened

    async def _bring_secrets(
        self, caller: Caller, request: SendMessage, task: Task, wanted: Mapping[str, Origin]
    ) -> Task:
        missing = self._secrets.missing(task.id, wanted)
        if not missing:
            raise RemitError(
                Code.CONFLICT,
                f"the task is {task.status}; a message can be sent once it has completed, failed or been cancelled",
                status=task.status,
            )
        if request.message is not None or request.env or request.files or request.secret_names:
            raise RemitError(
                Code.CONFLICT,
                f"the task is {task.status} and waits for its secrets {', '.join(missing)}: send secrets alone",
                status=task.status,
            )
        checks.only_missing(missing, request)
        values = {**self._secrets.known(task.id), **request.literals}
        environment(task.env or {}, values)
        unneeded = [name for name, value in request.secrets.items() if value is None]
        with anyio.CancelScope(shield=True):
            self._secrets.keep(task.id, request.literals, wanted)
            back = await self._store.secrets_are_back(caller.principal, task.id, unneeded)
            self._scheduler.poke()
        return back

    async def _upload(self, caller: Caller, request: SendMessage) -> None:
        uploads = checks.uploads(request.files)
        if uploads:
            self._workspaces.ensure(request.id)
            add = partial(self._workspaces.add, request.id, uploads, source_root=caller.folder)
            await to_thread.run_sync(add)

    async def _wait(self, caller: Caller, request: GetTask) -> None:
        """Until something has happened, at most as long as was asked for.

        For a reader of events that is the first it does not know; for others a change of the status, or a task that
        needs someone. A task that has ended is not waited for.
        """
        first = await self._store.task(caller.principal, request.id)
        with anyio.move_on_after(request.wait_seconds):
            while True:
                with self._store.changes.expected(request.id) as change:
                    task = await self._store.task(caller.principal, request.id)
                    if request.after_event is None:
                        happened = task.status not in _GOES_ON or task.status is not first.status
                    else:
                        happened = task.status in ENDED or task.last_event > request.after_event
                    if happened:
                        return
                    await change.wait()

    async def _until_stopped(self, caller: Caller, task_id: str, *, only_cancelled: bool = False) -> None:
        """Until the task does not run any more, at most CANCEL_SECONDS; at once if it was not cancelled."""
        with anyio.move_on_after(CANCEL_SECONDS):
            while True:
                with self._store.changes.expected(task_id) as change:
                    task = await self._store.task(caller.principal, task_id)
                    if task.status is not Status.RUNNING or (only_cancelled and not task.cancel_requested):
                        return
                    await change.wait()

    def _warnings(self, redactor: Redactor) -> list[str]:
        short = [
            f"the secret {name} has fewer than {MIN_MASKED} characters and is too short to be masked in output"
            for name in redactor.too_short
        ]
        return [*short, *self._notices]

    def _session_end(self) -> int:
        return now() + self._settings.session_expires * 1_000_000


def _agent(agent: Agent, needs: str | None) -> views.AgentView:
    view = views.AgentView(id=agent.id, description=agent.description, ready=needs is None)
    if needs:
        view["needs"] = needs
    return view
