"""What an agent may do in a run of its turn: the server's side of the interface."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from secrets import token_hex

import anyio

from server.agents.interface import Finished, OutOfCalls, Permission, Proposal, Suspended
from server.config import Settings
from server.errors import Code, RemitError
from server.runner.policy import Command, Exit
from server.runner.process import ProcessMark
from server.runner.sandbox import Sandbox
from server.tasks import limits, similarity
from server.tasks.output import Output
from server.tasks.publisher import Publisher
from server.tasks.secrets import Secrets
from storage.records import Call, CallResult, Claim, NewCall, NewEvent
from storage.states import CallStatus
from storage.store import Store, now
from templates.redaction import Redactor
from templates.resolver import derived, resolve

LEAST_OUTPUT = 4096
"""Characters that are kept of any call's output, also where the task has used up what it may keep."""

TAIL = 2000
"""Characters of a failed command's output that its error repeats."""


class Work:
    """One run as its agent sees it. Implements `server.agents.interface.Turn`."""

    def __init__(
        self, store: Store, claim: Claim, sandbox: Sandbox, workspace: Path, secrets: Secrets, settings: Settings
    ) -> None:
        self._store = store
        self._run = claim.run
        self._claim = claim
        self._sandbox = sandbox
        self._workspace = workspace
        self._settings = settings
        self._secrets = secrets
        self._values: dict[str, str] = {}
        self._redactor = Redactor({})
        self._calls: dict[str, Call] = {}
        self._output_left = settings.task_output_limit - claim.task.kept_output

    @property
    def message(self) -> str:
        """What was asked for."""
        return self._claim.turn.message

    async def propose(self, proposals: Sequence[Proposal]) -> None:
        """Announce calls, in order, before any of them is made."""
        new = [_new_call(proposal) for proposal in proposals]
        self._calls = {call.key: call for call in await self._store.announce_calls(self._run, new)}

    async def call(self, key: str) -> Permission:
        """The gate: whether the call may proceed. Raises Suspended while it waits for approval, or OutOfCalls."""
        known = self._calls[key]
        if known.status is CallStatus.CANCELLED:
            return Permission.REFUSED  # which takes no secrets to learn
        await self._open_secrets()
        expires = self._settings.approval_expires
        call = await self._store.begin_call(self._run, known.id, now() + expires * 1_000_000 if expires else None)
        match call.status:
            case CallStatus.EXECUTING:
                return Permission.PROCEED
            case CallStatus.AWAITING_APPROVAL:
                raise Suspended
            case CallStatus.PENDING:
                raise OutOfCalls
            case CallStatus.CANCELLED:
                return Permission.REFUSED
            case _:
                return Permission.DONE

    async def run(self, key: str, argv: tuple[str, ...]) -> Finished:
        """Execute a call that may proceed, in the sandbox, and note how it ended."""
        call = self._calls[key]
        output = Output(self._redactor, max(LEAST_OUTPUT, min(self._settings.output_limit, self._output_left)))
        try:
            ended = await self._execute(call, Command(argv=argv, env=self._environment()), output)
        except RemitError as error:
            message = self._redactor.redact(error.message)
            result = CallResult(CallStatus.ERROR, f"{output.text}\n{message}".strip(), output.dropped)
            await self._store.end_call(self._run, call.id, result)
            raise
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._store.keep_output(self._run, call.id, output.text, output.dropped)
            raise
        self._output_left -= len(output.text)
        status = CallStatus.ERROR if ended.status or ended.limit else CallStatus.SUCCESS
        ran_us = int(ended.seconds * 1_000_000)
        result = CallResult(status, output.text, output.dropped, ended.status, ran_us)
        await self._store.end_call(self._run, call.id, result)
        return Finished(ended.status, output.text[-TAIL:].strip(), ended.limit)

    def redact(self, text: str) -> str:
        """Text about the run as it may be shown."""
        return self._redactor.redact(text)

    async def _open_secrets(self) -> None:
        """Have the values of the turn's secrets. Raises SecretsLost, or RemitError for one that cannot be read."""
        if self._claim.secrets and not self._values:
            self._values = await self._secrets.of_turn(self._claim.task.id, self._claim.secrets)
            env = self._claim.task.env or {}
            filled_in = [pair for text in env.values() for pair in derived(text, self._values)]
            self._redactor = Redactor(self._values, filled_in)

    async def _execute(self, call: Call, command: Command, output: Output) -> Exit:
        publisher = Publisher(self._store, self._run, call.id, self._settings.event_limit)

        async def show(data: bytes) -> None:
            publisher.publish(output.feed(data))

        async with publisher.serving():
            task = self._claim.task
            policy = limits.policy(self._settings, task.agent, task.demands, self._workspace)
            try:
                return await self._sandbox.run(
                    command, policy, started=self._started, output=show, refused=partial(self._refused, call)
                )
            finally:
                publisher.publish(output.finish())

    async def _started(self, mark: ProcessMark) -> None:
        await self._store.record_process(self._run, asdict(mark), self._sandbox.tier)

    async def _refused(self, call: Call, host: str, port: int, reason: str) -> None:
        """Tell of a host the command was not let through to."""
        message = self._redactor.redact(f"network: {host}:{port} {reason}")
        event = NewEvent("error", {"code": Code.FORBIDDEN, "message": message, "callId": call.id})
        await self._store.append_events(self._run, [event])

    def _environment(self) -> dict[str, str]:
        """The task's variables with their templates filled in; on a clash the secret wins."""
        return environment(self._claim.task.env or {}, self._values)


def environment(env: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    """All variables of a turn, with the templates in `env` filled in.

    Raises RemitError (TEMPLATE_ERROR) that names the missing key.
    """
    known = {**env, **secrets}
    return {name: resolve(value, known) for name, value in env.items()} | dict(secrets)


def _new_call(proposal: Proposal) -> NewCall:
    return NewCall(
        key=proposal.key,
        id=f"call_{token_hex(8)}",
        tool_name=proposal.tool_name,
        args=proposal.args,
        digest=similarity.digest(proposal.args),
        similar=similarity.keys(proposal.tool_name, proposal.args),
        description=proposal.description,
    )
