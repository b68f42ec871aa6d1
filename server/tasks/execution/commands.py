"""The commands and programs of a run: started in the sandbox, and recorded while they live."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from anyio import to_thread

from server.agents.interface import Program, RunCommand
from server.errors import Code, RemitError
from server.runner.dialogue import ProcessIO
from server.runner.network.callback import CallbackHandler
from server.runner.policy import Command, Exit, SandboxPolicy
from server.runner.process import ProcessMark
from server.runner.sandbox import Sandbox
from server.runner.scanning import traps
from server.runner.scanning.places import SensitivePath, paths_as_json, paths_of_json
from server.runner.scanning.protected import find_first
from server.runner.scanning.sockets import find_sockets
from server.runner.workspace.workspaces import Workspaces
from server.tasks import sandbox_policy
from server.tasks.events.event_writer import EventWriter
from server.tasks.events.output import CommandOutput
from server.tasks.execution.context import RunContext
from server.tasks.execution.subtasks import RunSubtasks
from server.tasks.secrets.masking import part
from server.tasks.working_directory import working_directory
from server.tasks.workspaces import set_aside
from storage.records.events import EventKind, RunEvent


class CommandRunner:
    """Runs the commands and programs of a task's agent, within the task's sandbox policy."""

    def __init__(
        self, context: RunContext, sandbox: Sandbox, workspaces: Workspaces, subtasks: RunSubtasks | None
    ) -> None:
        self._context = context
        self._record = context.record
        self._claim = context.claim
        self._variables = context.variables
        self._settings = context.settings
        self._sandbox = sandbox
        self._workspaces = workspaces
        self._subtasks = subtasks
        self._starts = 0
        self._marks: list[ProcessMark] = []
        self._known: tuple[SensitivePath, ...] | None = None
        self._disarmed_before = set_aside.before(context.claim.workspace)
        self._directory = working_directory(context.claim.workspace, workspaces.ensure(context.task.id))

    @property
    def workspace(self) -> Path:
        """The folder in which the task's commands start."""
        return self._directory.folder

    @property
    def allowed(self) -> SandboxPolicy:
        """The sandbox policy of a command, without the paths protected in it."""
        task = self._claim.task
        return sandbox_policy.policy(self._settings, task.agent, task.demands, self._directory)

    @property
    def tier(self) -> str:
        """The tier of the sandbox."""
        return self._sandbox.tier

    async def wait_for_resources(self) -> None:
        """Wait while disk space or file descriptors are too short to start one more command."""
        policy = self.allowed
        await self._context.shortage.wait_until_over((self._workspaces.state, *policy.written), policy.limits)

    async def callback_handler(self) -> CallbackHandler | None:
        """Return the handler of a command's callback channel; None if the task may not create sub-tasks."""
        return await self._subtasks.callback_handler() if self._subtasks else None

    async def run(
        self, ran: RunCommand, output: CommandOutput, writer: EventWriter, call_id: str, handler: CallbackHandler | None
    ) -> Exit:
        """Run a command to its end. Its output is published as it comes.

        While disk space or descriptors are short, a command that has not started yet is tried again.
        """
        env = {**(self._given() if ran.inherits else {}), **ran.env}

        async def show(data: bytes) -> None:
            await output.show(data, writer.publish)

        async with writer.serving():
            try:
                starts = self._starts
                begin = partial(
                    self._sandbox.run,
                    Command(argv=ran.argv, env=env, attached=ran.attached),
                    replace(await self._policy(), calls_back=handler is not None),
                    started=self._started,
                    output=show,
                    refused=partial(self._refused, call_id),
                    disarmed=partial(self._disarmed, call_id),
                    handler=handler,
                )
                return await self._context.shortage.patiently(begin, may_repeat=lambda: self._starts == starts)
            finally:
                shown = len(output.text)
                try:
                    await output.finish()
                finally:
                    writer.publish(part(output.text, shown))

    @asynccontextmanager
    async def talk(self, program: Program) -> AsyncIterator[ProcessIO]:
        """Start a program and yield its input and output; it is ended with the block.

        Raises RemitError (VALIDATION_ERROR): when a variable of the task would steer the program itself.
        """
        self._refuse_steering(program)
        handler = await self.callback_handler() if program.hands_on else None
        home = None if program.home is None else await self._home(program.home)
        env = {**(self._given() if program.inherits else {}), **program.env}
        if home is not None:
            env["HOME"] = str(home)  # never the task's HOME: the settings in it decide how the agent asks for approval
        async with self._sandbox.talk(
            Command(argv=program.argv, env=env),
            replace(
                sandbox_policy.widened(await self._policy(), self._claim.task.demands, program, home),
                calls_back=handler is not None,
            ),
            started=self._started,
            refused=partial(self._refused, None),
            disarmed=partial(self._disarmed, None),
            handler=handler,
        ) as process_io:
            yield process_io

    def _refuse_steering(self, program: Program) -> None:
        """Raise RemitError (VALIDATION_ERROR) for a variable that would change how the agent asks for approval."""
        own = {*program.env, *self._settings.agents.of(self._claim.task.agent).secrets}
        for name in {*(self._claim.task.env or {}), *self._claim.secrets} - own:
            if any(fnmatchcase(name, pattern) for pattern in program.steered_by):
                raise RemitError(
                    Code.VALIDATION_ERROR,
                    f"env.{name}: this variable would change how the agent works; leave it out, or have it set in the "
                    "agent's settings",
                    field=f"env.{name}",
                )

    async def _policy(self) -> SandboxPolicy:
        policy = self.allowed
        return replace(policy, first=await self._first(policy))

    def _given(self) -> dict[str, str]:
        """Return the task's variables, secrets included."""
        return self._directory.variables | self._variables.environment()

    async def _first(self, policy: SandboxPolicy) -> tuple[SensitivePath, ...]:
        """Return the repositories and sockets in a user's folder that existed before the first command in it.

        Those before the first command of any task come first, then those before this task's.
        """
        if policy.owner != "user":
            return ()
        if self._known is None:
            found = await self._found(policy)
            first = await self._record.first_protected(str(policy.workspace), found)
            self._known = tuple(dict.fromkeys(paths_of_json((*first, *found))))
        return self._known

    async def _found(self, policy: SandboxPolicy) -> Sequence[Sequence[str]]:
        """Return what is protected in the folder, as JSON, as it was before the task's first command."""
        kept = self._claim.workspace.outcome.get("protected") if self._claim.workspace else None
        if kept is not None or policy.access == "read-only" or policy.hooks == "writable":
            return kept or ()
        found = paths_as_json(await to_thread.run_sync(_find_first, policy.workspace))
        await self._record.note_folder(self._claim.task.id, protected=found)
        return found

    async def _disarmed(self, call_id: str | None, found: Sequence[str]) -> None:
        """Record what a command left in the folder that the user's git would execute, and what became of it."""
        masker = self._variables.masker
        told = set_aside.told([masker.short(each) for each in traps.told(found, traps.MORE)])
        self._disarmed_before = await set_aside.tell(
            self._record, self._claim.run, self._disarmed_before, told, call_id
        )

    async def _home(self, files: Mapping[str, str]) -> Path:
        return await to_thread.run_sync(self._workspaces.furnish, self._claim.task.id, files)

    async def _started(self, mark: ProcessMark) -> None:
        self._starts += 1
        self._marks = [known for known in self._marks if known.is_alive()] + [mark]
        await self._record.record_processes([asdict(each) for each in self._marks], self._sandbox.tier)

    async def _refused(self, call_id: str | None, host: str, port: int, reason: str) -> None:
        """Record in the task's log a connection that the network proxy refused."""
        message = self._variables.masker.short(f"network: {host}:{port} {reason}")
        event = RunEvent(EventKind.ERROR, {"message": message}, Code.FORBIDDEN, call_id)
        await self._record.append_events(self._claim.run, [event])


def _find_first(workspace: Path) -> list[SensitivePath]:
    """Find the repositories and sockets of a folder before the task creates its own. Blocks."""
    return [*find_first(workspace), *(SensitivePath("socket", path) for path in find_sockets([workspace]).paths)]
