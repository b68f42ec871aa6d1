"""Follow-ups: the next turn of an ended task, or what a waiting one needs to go on; the order of all their checks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio

from server.errors import Code, RemitError
from server.runner.workspace.upload import Upload
from server.tasks import validation
from server.tasks.callers import Caller
from server.tasks.creation import idempotency, inputs
from server.tasks.creation.assignment import Assignment, AssignmentChecks, check_texts
from server.tasks.creation.warnings import general_warnings
from server.tasks.requests.request_models import SendMessage
from server.tasks.requests.stored_texts import stored_texts
from server.tasks.secrets.index import SecretIndex
from server.tasks.services import Services
from server.tasks.sessions import session_end, time_ordered_id
from server.tasks.workspaces.losses import MissingFolders, is_held
from storage.errors import turn_is_open
from storage.records.states import ENDED, Status
from storage.records.tasks import NOBODY, NewTurn, SentKey, Task
from storage.records.tasks import SecretSource as Origin
from storage.times import now


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A message that was accepted: its task afterwards, and warnings; `repeated` if it had been sent before."""

    task: Task
    warnings: Sequence[str] = ()
    repeated: bool = False


class FollowUps:
    """Sends messages to tasks. One is carried out completely or not at all."""

    def __init__(self, services: Services, poke: Callable[[], None], notices: Sequence[str]) -> None:
        """Create the handler of follow-ups. `poke` and `notices` are as in `TaskCreator`."""
        self._services = services
        self._store = services.store
        self._vault = services.vault
        self._checks = AssignmentChecks(services)
        self._index = SecretIndex(services.store, services.vault)
        self._losses = MissingFolders(services.store, services.workspaces)
        self._poke = poke
        self._notices = notices

    async def send(self, caller: Caller, request: SendMessage) -> FollowUp:
        """Open the next turn of an ended task, or give one that waits its lost secrets or further tool calls.

        The caller holds the task's lock. A message whose idempotency key was used before changes nothing.
        """
        task = await self._store.task(caller.principal, request.id)
        key, is_repeated = await idempotency.sent_before(self._store, caller.principal, request)
        if is_repeated:
            return FollowUp(task, repeated=True)
        losses = await self._losses.before_turn(task) if task.status in ENDED else []
        after, left_out = await self._sent(caller, request, task, key)
        return FollowUp(after, [*left_out, *losses, *general_warnings(caller, request.literals, self._notices)])

    async def _sent(
        self, caller: Caller, request: SendMessage, task: Task, key: SentKey | None
    ) -> tuple[Task, Sequence[str]]:
        had = await self._store.secret_names(caller.principal, request.id)
        if task.status in ENDED:
            return await self._open_turn(caller, request, task, had, key)
        if task.status is Status.PAUSED:
            return await self._go_on(caller, request, task, key), ()
        return await self._bring_secrets(caller, request, task, had, key), ()

    async def _open_turn(
        self, caller: Caller, request: SendMessage, task: Task, had: Mapping[str, Origin], key: SentKey | None
    ) -> tuple[Task, Sequence[str]]:
        asked = self._assignment(request, task, had)
        warnings = [*await self._checks.agent(asked)]
        if task.agent == NOBODY:
            validation.refuse_execution_inputs(request)
        validation.require_literals(had, request)
        values = await self._checks.secrets(asked)
        shared_from = await self._store.shared_from(task.id)
        if shared_from:
            await self._index.shared(task.id, since=now())
        warnings += validation.unmasked(await self._index.of_all_turns(task.id, {*asked.literals, *asked.names}))
        uploads = await validation.uploads(request.files)
        new = await self._new_turn(asked, uploads, key)
        with anyio.CancelScope(shield=True):  # a caller that gives up must not leave half a turn behind
            await inputs.add_files(self._services, caller, task.id, uploads)
            await self._vault.keep(task.id, task.turn + 1, values, new.secrets)
            await self._vault.set_shared_from(task.id, shared_from)
            try:
                opened = await self._store.open_turn(caller.principal, task.id, new)
            except RemitError as error:
                self._vault.drop(task.id)
                if error.code is Code.NOT_FOUND:  # it was removed while its files were delivered
                    await inputs.withdraw(self._services, task.id)
                raise
            self._poke()
        return opened, warnings

    def _assignment(self, request: SendMessage, task: Task, had: Mapping[str, Origin]) -> Assignment:
        """Return what a message asks of its task's agent. The secrets by name that the task `had` stay its own."""
        if request.message is None:
            raise RemitError(Code.VALIDATION_ERROR, "message: is required, since the task has ended", field="message")
        names = [name for name, origin in had.items() if origin == "named" and name not in request.secrets]
        return Assignment(
            agent=task.agent,
            message=request.message,
            env=validation.merged(request, task.env or {}),
            literals=request.literals,
            names=[*names, *(name for name in request.secret_names if name not in names)],
            texts=stored_texts(request),
        )

    async def _new_turn(self, asked: Assignment, uploads: Sequence[Upload], key: SentKey | None) -> NewTurn:
        return NewTurn(
            message=asked.message,
            env=asked.env or None,
            secrets=validation.origins(asked.literals, asked.names),
            files=await validation.versions(uploads),
            session=time_ordered_id(now()),
            session_expires_at=session_end(self._services.settings),
            sent=key,
        )

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
        await validation.refuse_values(self._vault.known(task.id), stored_texts(request))
        with anyio.CancelScope(shield=True):
            gone_on = await self._store.resume(caller.principal, task.id, key)
            self._poke()
        return gone_on

    async def _bring_secrets(
        self, caller: Caller, request: SendMessage, task: Task, wanted: Mapping[str, Origin], key: SentKey | None
    ) -> Task:
        missing = self._vault.missing(task.id, wanted)
        if not missing:
            raise turn_is_open(task.status)
        if request.message is not None or request.env or request.files or request.secret_names:
            raise RemitError(
                Code.CONFLICT,
                f"the task is {task.status} and waits for its secrets {', '.join(missing)}: send secrets alone",
                status=task.status,
            )
        validation.require_only_missing(missing, request)
        values = {**self._vault.known(task.id), **request.literals}
        await check_texts(values, stored_texts(request), task.env or {})
        unneeded = [name for name, value in request.secrets.items() if value is None]
        with anyio.CancelScope(shield=True):
            await self._vault.keep(task.id, task.turn, request.literals, wanted)
            back = await self._store.resume_with_secrets(caller.principal, task.id, unneeded, key)
            self._poke()
        return back
