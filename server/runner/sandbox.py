"""The sandbox that runs commands: the public interface of this package."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

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
from server.runner.programs.copies import Programs
from server.runner.tiers import gaps, plan
from server.runner.tiers.gaps import Gaps
from server.runner.tiers.interpreter import Interpreter
from server.runner.tiers.plan import Confinement
from server.runner.tiers.scratch import Scratch
from server.tier_names import TierName
from server.upgrades import check_importable


async def _ignore_refused(host: str, port: int, reason: str) -> None:
    """Report nothing: the default for commands without an allowlist of hosts."""


Disarmed = Callable[[Sequence[str]], Awaitable[None]]
"""Called with one sentence for each thing that a command left in a user's folder for git to execute, and what was done
about it."""


async def _ignore_disarmed(_: Sequence[str]) -> None:
    """Report nothing: the default for the server's own commands."""


class Tier(Protocol):
    """A way to confine commands. Implemented by the classes of `detection.TIERS`."""

    name: ClassVar[TierName]
    """Its name in the setting `sandbox` and in reports."""

    gaps: ClassVar[Gaps]
    """What it does not protect against."""

    refuses_root: ClassVar[str | None]
    """Why root may not use it; None if root may."""

    supervised: ClassVar[bool]
    """Whether a supervisor process ends the command's process tree, for want of a process namespace."""

    @classmethod
    async def find(cls, interpreter: Interpreter, scratch: Scratch, programs: Programs) -> Self:
        """Return the tier for this machine, not tested yet.

        Raises RemitError (SANDBOX_UNAVAILABLE) if this machine lacks what it takes.
        """
        ...

    def argv(self, policy: SandboxPolicy, confinement: Confinement) -> tuple[str, ...]:
        """Return the command line that starts the launcher in the sandbox."""
        ...

    def confined(self, policy: SandboxPolicy, left: list[str]) -> AbstractAsyncContextManager[Confinement]:
        """Prepare a command's confinement, and clean up after the block; append what `Disarmed` reports to `left`."""
        ...

    def explain(self, output: str) -> str:
        """Return an error message for `output`, which came in place of the launcher's answer."""
        ...


class Sandbox:
    """The sandbox of this machine: runs commands within the limits of a policy. Made by `find_sandbox`."""

    def __init__(self, tier: Tier, groups: ControlGroups = NO_GROUPS, hidden: Sequence[Path] = ()) -> None:
        """Create the sandbox. No command sees the `hidden` paths, even inside folders that its policy grants."""
        self._tier, self._groups = tier, groups
        self._hidden = tuple(path.resolve() for path in hidden)

    @property
    def tier(self) -> TierName:
        """Name of the tier that confines commands."""
        return self._tier.name

    @property
    def gaps(self) -> tuple[str, ...]:
        """The things that this sandbox does not protect against or limit exactly, one sentence each."""
        return (*gaps.here(self._tier.gaps), *usage.gaps(self._groups.features))

    @property
    def grouped(self) -> frozenset[Feature]:
        """The limits that control groups enforce on a whole process tree."""
        return self._groups.features

    async def run(
        self,
        command: Command,
        policy: SandboxPolicy,
        *,
        started: Callable[[ProcessMark], Awaitable[None]],
        output: Callable[[bytes], Awaitable[None]],
        refused: Report = _ignore_refused,
        disarmed: Disarmed = _ignore_disarmed,
        handler: CallbackHandler | None = None,
    ) -> Exit:
        """Run `command` until it and every process that it started have ended.

        `started` is awaited before the command line or any secret is handed over: with the mark that it records, the
        process can be ended even after this server has died. `output` is awaited for each piece of the merged stdout
        and stderr, 64 KiB at most. `refused` is awaited for each host that the policy denies, with port and reason.
        `disarmed` is awaited after the end if the command left something that the user's own git would execute.
        `handler` serves the callback channel, if the policy grants one.
        When this call is cancelled, or one of the callbacks raises, no process of the command is left when it returns.

        Raises RemitError: VALIDATION_ERROR for a path that must not be granted or an invalid host, EXECUTION_ERROR for
        a command that the kernel cannot start, SANDBOX_UNAVAILABLE if the sandbox itself fails. A program that does
        not exist is no error: its exit status is 127, as in a shell.
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
        refused: Report = _ignore_refused,
        disarmed: Disarmed = _ignore_disarmed,
        handler: CallbackHandler | None = None,
    ) -> AsyncIterator[ProcessIO]:
        """Run `command` while the block runs, and yield its stdin and stdout. Parameters and errors as for `run`."""
        with Pipes.opened() as pipes:
            running = self._running(command, policy, started, refused, disarmed, handler, pipes.descriptors)
            async with running as (process, monitor, relay):
                pipes.hand_over()
                piped = PipedProcess(process, pipes, monitor, relay)
                async with in_background(piped.serve):
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
        """Start the command with its monitor, network and callback channel; leave nothing of it after the block.

        Its processes are ended before the callback channel: a request that it made there may take long, or hang.
        """
        command.check()
        policy = replace(policy, hidden=self._hidden)
        policy.check()
        async with (
            _reporting(disarmed) as left,
            self._tier.confined(policy, left) as confinement,
            self._spawned(policy, confinement, descriptors or {}) as (process, group),
        ):
            self._expect("ready", await _first_line(process, group))
            mark = _hold(process, group)
            if policy.pinned:
                await anyio.to_thread.run_sync(_check_pinned, process, policy.pinned)
            with closing(_monitor(process, policy, confinement, group)) as monitor:
                await started(mark)
                confinement = self._without_double_count(confinement)
                await process.send(plan.encode(command, policy, confinement, descriptors, handler))
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
        """Make a control group for the command, if any were delegated, and remove it after the block."""
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

    def _without_double_count(self, confinement: Confinement) -> Confinement:
        """Drop RLIMIT_NPROC where a control group counts the processes exactly."""
        return replace(confinement, neighbours=None) if "processes" in self.grouped else confinement

    @asynccontextmanager
    async def _spawned(
        self, policy: SandboxPolicy, confinement: Confinement, inherited: Collection[int]
    ) -> AsyncIterator[tuple[Subprocess, ControlGroup | None]]:
        """Start the launcher and make its control group; end and remove both after the block."""
        async with self._grouped(policy) as group:
            argv = self._tier.argv(policy, confinement)
            try:
                process = Subprocess(argv, supervised=self._tier.supervised, inherited=inherited)
            except OSError as error:
                raise unavailable(f"{error.filename} cannot be started: {error.strerror}") from error
            async with process:
                yield process, group

    def _expect(self, expected: str, line: str) -> None:
        """Raise SANDBOX_UNAVAILABLE unless the launcher's answer is the expected one."""
        if line != expected:
            raise unavailable(self._tier.explain(line))


@asynccontextmanager
async def _reporting(disarmed: Disarmed) -> AsyncIterator[list[str]]:
    """Yield a list to be filled by the block, and report it when the block ends, even by an error."""
    left: list[str] = []
    try:
        yield left
    finally:
        if left:
            with anyio.CancelScope(shield=True):
                await disarmed(left)


async def _first_line(process: Subprocess, group: ControlGroup | None) -> str:
    """Return the launcher's first line; move it into its group meanwhile, which takes the kernel up to 20 ms."""
    async with anyio.create_task_group() as both:
        if group:
            both.start_soon(anyio.to_thread.run_sync, _enter, process.pid, group)
        line = await process.receive_line()
    return line


def _enter(pid: int, group: ControlGroup) -> None:
    with suppress(OSError):  # it may have ended, which `_expect` reports
        group.add(pid)


def _hold(process: Subprocess, group: ControlGroup | None) -> ProcessMark:
    try:
        return process.hold(group)
    except OSError as error:
        raise unavailable(f"the command cannot be held: {error.strerror}") from error


def _monitor(
    process: Subprocess, policy: SandboxPolicy, confinement: Confinement, group: ControlGroup | None
) -> Monitor:
    try:
        return Monitor(process, policy, confinement.private, group)
    except FileNotFoundError as error:  # another task that may write there has just removed it
        raise _gone(Path(error.filename)) from error


def _check_pinned(process: Subprocess, folders: Sequence[Path]) -> None:
    """Check that each mounted folder is the one its path names: another task may have swapped links meanwhile.

    Raises RemitError (EXECUTION_ERROR).
    """
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
    """Serve the proxy of a command with an allowlist of hosts while the block runs."""
    if confinement.gateway is None or policy.hosts is None:
        yield
        return
    check_importable("server.runner.network.proxy")
    from server.runner.network.proxy import serving  # imported late: most servers never need its HTTP library

    with closing(confinement.gateway.listener or process.receive_socket()) as listener:
        async with serving(listener, policy.hosts, confinement.gateway.token, refused):
            yield


@asynccontextmanager
async def _callback(
    confinement: Confinement, process: Subprocess, handler: CallbackHandler | None
) -> AsyncIterator[RelayProgram | None]:
    """Serve the command's callback channel, if it has one, while the block runs."""
    channel = confinement.channel
    if channel is None or handler is None:
        yield None
        return
    async with serving_channel(channel, channel.listener or process.receive_socket(), handler, process.pid):
        yield RelayProgram(argv=channel.relay, env=handler.environment(channel))


def unavailable(reason: str, **details: Any) -> RemitError:
    """Return the error SANDBOX_UNAVAILABLE with this reason."""
    return RemitError(Code.SANDBOX_UNAVAILABLE, reason, **details)
