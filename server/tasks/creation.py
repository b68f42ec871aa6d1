"""Creation of tasks and of further turns, with their files and secrets."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from secrets import token_hex, token_urlsafe
from uuid import uuid4

import anyio
from anyio import to_thread

from server.agents.endings import NeedsModel
from server.errors import Code, RemitError
from server.runner.workspace.upload import Upload
from server.tasks import validation
from server.tasks.callers import Caller
from server.tasks.requests.request_models import CreateTask, SendMessage
from server.tasks.secrets import masking
from server.tasks.secrets.index import SecretIndex
from server.tasks.services import Services
from server.tasks.workspaces.losses import is_held
from server.tasks.workspaces.removal import remove_folders
from server.threads import READING, computed
from storage.records.states import ENDED, Status
from storage.records.tasks import AGENT, NOBODY, CreationResult, NestingLimits, NewTask, NewTurn, SentKey, Task
from storage.records.tasks import SecretSource as Origin
from storage.records.workspaces import Workspace
from storage.times import now


class TaskCreator:
    """Creates tasks and turns. A request is carried out completely or not at all."""

    def __init__(self, services: Services, poke: Callable[[], None]) -> None:
        """`poke` is called once a task may be claimed."""
        self._store = services.store
        self._agents = services.agents
        self._vault = services.vault
        self._index = SecretIndex(services.store, services.vault)
        self._workspaces = services.workspaces
        self._settings = services.settings
        self._poke = poke

    async def check(
        self, agent_id: str, message: str, variables: Collection[str], mcp_servers: Sequence[str] = ()
    ) -> Sequence[str]:
        """Refuse an unknown agent, and a message or an MCP server that the agent cannot use.

        Returns warnings, a sentence each: about the message, and if the agent is not ready for a task with variables
        and secrets of these names (it may become ready before the task starts). Raises RemitError: AGENT_UNAVAILABLE
        for an unknown agent, VALIDATION_ERROR for an MCP server, or the agent's own error for the message.
        """
        if agent_id == NOBODY:
            return ()
        agent = self._agents.get(agent_id)
        if agent is None:
            known = ", ".join((*self._agents, NOBODY))
            unknown_agent = f"agentId: there is no agent {agent_id!r} (known: {known})"
            raise RemitError(Code.AGENT_UNAVAILABLE, unknown_agent, field="agentId")
        try:
            warnings = await computed(len(message), agent.check, message, threads=READING)
        except NeedsModel as error:
            raise RemitError(error.code, f"{error.message}; {await self._with_models()}", **error.details) from None
        if mcp_servers and not agent.speaks:
            raise _bad_server(f"the agent {agent_id!r} runs commands and uses no MCP servers")
        if unknown := [name for name in mcp_servers if name not in self._settings.mcp_servers]:
            known = ", ".join(sorted(self._settings.mcp_servers)) or "none"
            raise _bad_server(f"the settings have no MCP server {unknown[0]!r} (known: {known})")
        needs = (await agent.readiness(variables)).needs
        unready = [f"agentId: {agent_id!r} is not ready, and a task of it fails: {needs}"] if needs else []
        return [*unready, *warnings]

    async def _with_models(self) -> str:
        """Return a sentence that names the agents which could work on a message in words."""
        able = [agent for agent in self._agents.values() if agent.speaks]
        if ready := [agent.id for agent in able if (await agent.readiness()).needs is None]:
            return f"for a job in words, create a task with agentId {' or '.join(map(repr, ready))}"
        return (
            "for a job in words it takes an agent with a model, and none is set up here: the setting [agents.llm] "
            'model = "PROVIDER:NAME" does that (list_agents tells what others need)'
        )

    async def values(self, request: CreateTask) -> dict[str, str]:
        """Return the values of a new task's secrets: those given, and those read by name. Raises RemitError."""
        return await self._values(request.secrets, self._names(request))

    async def create(
        self,
        caller: Caller,
        request: CreateTask,
        digest: str,
        tier: str | None,
        values: Mapping[str, str],
        workspace: Workspace | None,
    ) -> CreationResult:
        """Create a task with its files in place. It is stored when this returns."""
        uploads = await validation.uploads(request.files)
        files = await validation.versions(uploads)
        new = replace(self._new_task(caller, request, digest, tier), workspace=workspace, files=files)
        with anyio.CancelScope(shield=True):  # a caller that gives up must not leave half a task behind
            if uploads:
                await to_thread.run_sync(partial(self._workspaces.create, new.id, uploads, source_root=caller.folder))
            await self._vault.keep(new.id, 1, values, new.secrets)
            if workspace and new.parent and new.source == AGENT:  # until its exact secrets are known
                await self._vault.share(new.parent, new.id)
            try:
                created = await self._store.create_task(caller.principal, new)
            except BaseException:
                await self._undo(new.id)
                raise
            if created.repeated:
                await self._undo(new.id)
            elif uploads:
                self._workspaces.keep(new.id)
        self._poke()
        return created

    async def forget(self, task_ids: Collection[str]) -> None:
        """Remove the secrets and folders of tasks that were deleted from the store."""
        for task_id in task_ids:
            self._vault.drop(task_id)
        await remove_folders(self._store, self._workspaces, task_ids)

    async def _undo(self, task_id: str) -> None:
        """Remove the secrets and the folder made for a task that was not stored."""
        self._vault.drop(task_id)
        await to_thread.run_sync(self._workspaces.remove, task_id)

    async def follow_up(
        self, caller: Caller, request: SendMessage, task: Task, key: SentKey | None
    ) -> tuple[Task, Sequence[str]]:
        """Open the next turn of an ended task, or give one that waits its lost secrets or further tool calls.

        `key` is stored with it. Returns the task afterwards, and warnings about the message.
        """
        wanted = await self._store.secret_names(caller.principal, request.id)
        if task.status in ENDED:
            return await self._open_turn(caller, request, task, wanted, key)
        if task.status is Status.PAUSED:
            return await self._go_on(caller, request, task, key), ()
        return await self._bring_secrets(caller, request, task, wanted, key), ()

    async def _values(self, literals: Mapping[str, str], names: list[str]) -> dict[str, str]:
        if both := sorted(set(literals).intersection(names)):
            raise RemitError(
                Code.VALIDATION_ERROR,
                f"{both[0]} stands in secrets and in secretNames; give it once",
                field="secretNames",
            )
        return {**await self._vault.read(names), **literals}

    def _names(self, request: CreateTask) -> list[str]:
        """Return the names of secrets to read: those of the request, and those that every task of the agent gets."""
        own = self._settings.agents.of(request.agent_id).secrets
        return [*request.secret_names, *(name for name in own if name not in {*request.secret_names, *request.secrets})]

    def _new_task(self, caller: Caller, request: CreateTask, digest: str, tier: str | None) -> NewTask:
        at = now()
        subtasks = self._settings.subtasks
        return NewTask(
            id=str(uuid4()),
            agent=request.agent_id,
            message=request.message,
            title=request.title,
            description=request.description,
            system_prompt=request.system_prompt,
            show_in_history=request.show_in_history,
            auto_execute=request.auto_execute,
            env=request.env or None,
            secrets=validation.origins(request.secrets, self._names(request)),
            metadata=request.metadata,
            demands=validation.demands(request),
            sandbox=tier,
            timeout_seconds=request.timeout_seconds or self._settings.timeout,
            max_calls=request.max_calls,
            idempotency_key=request.idempotency_key,
            request_digest=digest,
            conversation=request.conversation_id or time_ordered_id(at),
            joins=request.conversation_id is not None,
            session=time_ordered_id(at),
            session_expires_at=self._session_end(),
            task_list=request.task_list_id,
            depends_on=request.depends_on,
            on_dependency_failure=request.on_dependency_failure,
            parent=request.parent_task_id,
            triggering_agent=request.triggering_agent_id,
            assigned_agent=request.assigned_agent_id,
            source=caller.source,
            nesting=NestingLimits(subtasks.depth, subtasks.count),
        )

    async def _open_turn(
        self,
        caller: Caller,
        request: SendMessage,
        task: Task,
        had: Mapping[str, Origin],
        key: SentKey | None,
    ) -> tuple[Task, Sequence[str]]:
        if request.message is None:
            raise RemitError(Code.VALIDATION_ERROR, "message: an ended task needs one to go on", field="message")
        redactor = await masking.redactor(request.literals)
        await validation.refuse_secrets(redactor, [("message", request.message)])  # which an error would repeat
        env = validation.merged(request, task.env or {})
        names = [name for name, origin in had.items() if origin == "named" and name not in request.secrets]
        names += [name for name in request.secret_names if name not in names]
        warnings = await self.check(task.agent, request.message, {*env, *request.literals, *names})
        if task.agent == NOBODY:
            validation.refuse_execution_inputs(request)
        validation.require_literals(had, request)
        values = await self._values(request.literals, names)
        await validation.refuse_secrets(await masking.redactor(values), validation.message_texts(request))
        await validation.templates(env, values)
        shared_from = await self._store.shared_from(task.id)
        if shared_from:
            await self._index.shared(task.id, since=now())
        uploads = await validation.uploads(request.files)
        new = NewTurn(
            message=request.message,
            env=env or None,
            secrets=validation.origins(request.literals, names),
            files=await validation.versions(uploads),
            session=time_ordered_id(now()),
            session_expires_at=self._session_end(),
            sent=key,
        )
        with anyio.CancelScope(shield=True):  # a caller that gives up must not leave half a turn behind
            await self._upload(caller, task.id, uploads)
            await self._vault.keep(task.id, task.turn + 1, values, new.secrets)
            await self._vault.set_shared_from(task.id, shared_from)
            try:
                opened = await self._store.open_turn(caller.principal, task.id, new)
            except RemitError as error:
                self._vault.drop(task.id)
                if error.code is Code.NOT_FOUND:  # it was removed while its files were delivered
                    await self._undo(task.id)
                raise
            self._poke()
        return opened, warnings

    async def _go_on(self, caller: Caller, request: SendMessage, task: Task, key: SentKey | None) -> Task:
        if validation.has_content(request):
            why, aim = (
                ("came out of a backup", "go on")
                if is_held(task)
                else (f"has made its {task.max_calls} tool calls (maxCalls)", "make as many again")
            )
            raise RemitError(
                Code.CONFLICT,
                f"the task is {task.status}, as it {why}: to let it {aim}, send nothing but its id; to say something "
                "else, cancel_task first",
                status=task.status,
            )
        await validation.refuse_secrets(
            await masking.redactor(self._vault.known(task.id)), validation.message_texts(request)
        )
        with anyio.CancelScope(shield=True):
            gone_on = await self._store.resume(caller.principal, task.id, key)
            self._poke()
        return gone_on

    async def _bring_secrets(
        self,
        caller: Caller,
        request: SendMessage,
        task: Task,
        wanted: Mapping[str, Origin],
        key: SentKey | None,
    ) -> Task:
        missing = self._vault.missing(task.id, wanted)
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
        validation.require_only_missing(missing, request)
        values = {**self._vault.known(task.id), **request.literals}
        await validation.refuse_secrets(await masking.redactor(values), validation.message_texts(request))
        await validation.templates(task.env or {}, values)
        unneeded = [name for name, value in request.secrets.items() if value is None]
        with anyio.CancelScope(shield=True):
            await self._vault.keep(task.id, task.turn, request.literals, wanted)
            back = await self._store.resume_with_secrets(caller.principal, task.id, unneeded, key)
            self._poke()
        return back

    async def _upload(self, caller: Caller, task_id: str, uploads: Sequence[Upload]) -> None:
        if uploads:
            # An approval for the present files ends before they are replaced, even if the message is then refused.
            replaced = {upload.path: token_hex(16) for upload in uploads}
            await self._store.bring_files(caller.principal, task_id, replaced)
            self._workspaces.ensure(task_id)
            add = partial(self._workspaces.add, task_id, uploads, source_root=caller.folder)
            await to_thread.run_sync(add)

    def _session_end(self) -> int:
        return now() + self._settings.session_expires * 1_000_000


def _bad_server(reason: str) -> RemitError:
    return RemitError(Code.VALIDATION_ERROR, f"mcpServers: {reason}", field="mcpServers")


def time_ordered_id(at: int) -> str:
    """Return a unique id that starts with the time `at` (microseconds since the epoch) and has 128 random bits.

    The leading milliseconds keep new ids adjacent in every index, so that inserting one costs the same among a million.
    34 characters. Task ids are plain UUIDs instead, because people tell tasks apart by the first characters.
    """
    return f"{at // 1000:012x}{token_urlsafe(16)}"
