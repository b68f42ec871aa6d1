"""Runs commands in a sandbox: the interface of this package."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

import anyio

from server.concurrency import in_background
from server.errors import Code, RemitError
from server.runner.cgroups.control_group import NO_GROUPS, ControlGroup, ControlGroups, Feature
from server.runner.dialogue import ProcessIO
from server.runner.filesystem.safe_open import identity
from server.runner.monitoring import usage
from server.runner.monitoring.monitor import Monitor
from server.runner.network.callback import CallbackHandler, RelayProgram, serving_channel
from server.runner.network.gateway import Report
from server.runner.piped import PipedProcess, Pipes
from server.runner.policy import ATTACHED, Command, Exit, SandboxPolicy
from server.runner.process import ProcessMark, Subprocess
from server.runner.tiers import plan
from server.runner.tiers.plan import Confinement
from server.upgrades import check_importable

Name = Literal["namespaces", "landlock", "off"]


async def _tell_nobody(host: str, port: int, reason: str) -> None:
    """For commands without a network by name."""


Disarmed = Callable[[Sequence[str]], Awaitable[None]]
"""Told what a command has left in a folder of the person's for git to execute, and what was done about it."""


async def _keep_quiet(_: Sequence[str]) -> None:
    """For commands of our own."""


class Tier(Protocol):
    """One way to confine a command."""

    @property
    def name(self) -> Name: ...

    @property
    def gaps(self) -> tuple[str, ...]: ...

    @property
    def supervised(self) -> bool: ...

    def argv(self, policy: SandboxPolicy, confinement: Confinement) -> tuple[str, ...]: ...

    def confined(self, policy: SandboxPolicy, left: list[str]) -> AbstractAsyncContextManager[Confinement]: ...

    def explain(self, output: str) -> str: ...


class Sandbox:
    """Runs commands within the limits of a policy; made by `find_sandbox`."""

    def __init__(self, tier: Tier, groups: ControlGroups = NO_GROUPS, hidden: Sequence[Path] = ()) -> None:
        """`hidden` is what no command sees, whatever its policy gives it."""
        self._tier, self._groups = tier, groups
        self._hidden = tuple(path.resolve() for path in hidden)

    @property
    def tier(self) -> Name:
        """How commands are confined."""
        return self._tier.name

    @property
    def gaps(self) -> tuple[str, ...]:
        """What it does not hold, a sentence each."""
        return (*self._tier.gaps, *usage.gaps(self._groups.features))

    @property
    def grouped(self) -> frozenset[Feature]:
        """What the kernel holds over a whole tree, by control groups."""
        return self._groups.features

    async def run(
        self,
        command: Command,
        policy: SandboxPolicy,
        *,
        started: Callable[[ProcessMark], Awaitable[None]],
        output: Callable[[bytes], Awaitable[None]],
        refused: Report = _tell_nobody,
        disarmed: Disarmed = _keep_quiet,
        handler: CallbackHandler | None = None,
    ) -> Exit:
        """Run `command` to its end, which is the end of everything it started.

        `started` is awaited before the command, or anything secret, is handed over: a process it recorded can be
        ended later by its mark. `output` is awaited for each piece of the merged output, as it comes, 64 KiB at most.
        `refused` is awaited for each host that the policy does not let it reach, with the port and the reason.
        `disarmed` is awaited once it has ended, if it has left something that the person's own git would execute.
        The `handler` serves its callback channel, where the policy gives it one.
        When this is cancelled, or one of these raises, nothing of the command is left by the time it returns.

        Raises RemitError: VALIDATION_ERROR for a path that cannot be given or a host that is none, EXECUTION_ERROR for
        a command that the kernel could not take, SANDBOX_UNAVAILABLE where the sandbox itself fails. A program that
        does not exist is no error here: it ends with 127, as in a shell.
        """
        attached = {} if command.attached is None else {command.attached: ATTACHED}
        running = self._running(command, policy, started, refused, disarmed, handler, attached)
        async with running as (process, monitor, _):

            async def take() -> None:
                while chunk := await process.receive():
                    await output(chunk)

            return await monitor.until_end(take)

    @asynccontextmanager
    async def talk(
        self,
        command: Command,
        policy: SandboxPolicy,
        *,
        started: Callable[[ProcessMark], Awaitable[None]],
        refused: Report = _tell_nobody,
        disarmed: Disarmed = _keep_quiet,
        handler: CallbackHandler | None = None,
    ) -> AsyncIterator[ProcessIO]:
        """A command to talk to, over its stdin and stdout; all else is as for `run`, which see."""
        with Pipes.opened() as pipes:
            running = self._running(command, policy, started, refused, disarmed, handler, pipes.descriptors)
            async with running as (process, monitor, relay):
                pipes.hand_over()
                piped = PipedProcess(process, pipes, monitor, relay)
                async with in_background(piped.attend):
                    yield piped

    @asynccontextmanager
    async def _running(
        self,
        command: Command,
        policy: SandboxPolicy,
        started: Callable[[ProcessMark], Awaitable[None]],
        refused: Report,
        disarmed: Disarmed,
        handler: CallbackHandler | None,
        descriptors: Mapping[int, int] | None = None,
    ) -> AsyncIterator[tuple[Subprocess, Monitor, RelayProgram | None]]:
        """The command at work, with its monitor, network and callback channel; nothing of it is left afterwards.

        Its processes are ended first: what it has asked for over its callback channel may take its time, or hang.
        """
        command.check()
        policy = replace(policy, hidden=self._hidden)
        policy.check()
        async with (
            _reporting(disarmed) as left,
            self._tier.confined(policy, left) as confinement,
            self._spawned(policy, confinement, descriptors or {}) as (process, group),
        ):
            self._expect("ready", await _first_word(process, group))
            mark = _held(process, group)
            if policy.pinned:
                await anyio.to_thread.run_sync(_check_pinned, process, policy.pinned)
            with closing(_attendance(process, policy, confinement, group)) as monitor:
                await started(mark)
                await process.send(plan.encode(command, policy, self._counted(confinement), descriptors, handler))
                self._expect("go", await process.receive_line())
                network = _network(policy, confinement, process, refused)
                async with network, _callback(confinement, process, handler) as relay:
                    try:
                        yield process, monitor, relay
                    finally:
                        with anyio.CancelScope(shield=True):
                            await process.end()

    @asynccontextmanager
    async def _grouped(self, policy: SandboxPolicy) -> AsyncIterator[ControlGroup | None]:
        """A control group for the command, where some were delegated; nothing of it is left afterwards."""
        try:
            group = self._groups.make(policy.limits)
        except OSError as error:
            raise unavailable(f"the control group {error.filename} cannot be made: {error.strerror}") from error
        try:
            yield group
        finally:
            if group and not group.vanishes():
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(group.remove)

    def _counted(self, confinement: Confinement) -> Confinement:
        """Not by the kernel's other way to count processes, where their control group is exact."""
        return replace(confinement, neighbours=None) if "processes" in self.grouped else confinement

    @asynccontextmanager
    async def _spawned(
        self, policy: SandboxPolicy, confinement: Confinement, inherited: Collection[int]
    ) -> AsyncIterator[tuple[Subprocess, ControlGroup | None]]:
        """The launcher on its way, and the group it is to be in; nothing of either is left afterwards."""
        async with self._grouped(policy) as group:
            argv = self._tier.argv(policy, confinement)
            try:
                process = Subprocess(argv, supervised=self._tier.supervised, inherited=inherited)
            except OSError as error:
                raise unavailable(f"{error.filename} cannot be started: {error.strerror}") from error
            async with process:
                yield process, group

    def _expect(self, word: str, line: str) -> None:
        """Check the launcher's next word; what comes in its place is why there is no sandbox."""
        if line != word:
            raise unavailable(self._tier.explain(line))


@asynccontextmanager
async def _reporting(disarmed: Disarmed) -> AsyncIterator[list[str]]:
    """A list of what the block finds, which is told when it has ended, however it did."""
    left: list[str] = []
    try:
        yield left
    finally:
        if left:
            with anyio.CancelScope(shield=True):
                await disarmed(left)


async def _first_word(process: Subprocess, group: ControlGroup | None) -> str:
    """The launcher's; its group is entered meanwhile, which the kernel may take 20 ms for the first time."""
    async with anyio.create_task_group() as both:
        if group:
            both.start_soon(anyio.to_thread.run_sync, _enter, process.pid, group)
        word = await process.receive_line()
    return word


def _enter(pid: int, group: ControlGroup) -> None:
    with suppress(OSError):  # it may have ended, which is told elsewhere
        group.add(pid)


def _held(process: Subprocess, group: ControlGroup | None) -> ProcessMark:
    try:
        return process.hold(group)
    except OSError as error:
        raise unavailable(f"the command cannot be held: {error.strerror}") from error


def _attendance(
    process: Subprocess, policy: SandboxPolicy, confinement: Confinement, group: ControlGroup | None
) -> Monitor:
    try:
        return Monitor(process, policy, confinement.private, group)
    except FileNotFoundError as error:  # others, who may write it too, have just removed it
        raise _gone(Path(error.filename)) from error


def _check_pinned(process: Subprocess, folders: Sequence[Path]) -> None:
    """See that what was mounted for a command is what is there under that name, whoever played with links meanwhile."""
    for folder in folders:
        try:
            is_same = process.sees(folder) in (None, identity(folder))
        except OSError:
            is_same = False
        if not is_same:
            raise _gone(folder)


def _gone(folder: Path) -> RemitError:
    return RemitError(Code.EXECUTION_ERROR, f"the folder {folder} is gone, or leads elsewhere by now")


@asynccontextmanager
async def _network(
    policy: SandboxPolicy, confinement: Confinement, process: Subprocess, refused: Report
) -> AsyncIterator[None]:
    """The proxy of a command that may reach hosts by name, as long as the command lives."""
    if confinement.gateway is None or policy.hosts is None:
        yield
        return
    check_importable("server.runner.network.proxy")
    from server.runner.network.proxy import serving  # with an HTTP library that most servers never need

    with closing(confinement.gateway.listener or process.receive_socket()) as listener:
        async with serving(listener, policy.hosts, confinement.gateway.token, refused):
            yield


@asynccontextmanager
async def _callback(
    confinement: Confinement, process: Subprocess, handler: CallbackHandler | None
) -> AsyncIterator[RelayProgram | None]:
    """The callback channel of a command that may talk to the server, served as long as the command lives."""
    channel = confinement.channel
    if channel is None or handler is None:
        yield None
        return
    async with serving_channel(channel, channel.listener or process.receive_socket(), handler, process.pid):
        yield RelayProgram(argv=channel.relay, env=handler.environment(channel))


def unavailable(reason: str, **details: Any) -> RemitError:
    """Return the error SANDBOX_UNAVAILABLE with this reason."""
    return RemitError(Code.SANDBOX_UNAVAILABLE, reason, **details)
