"""Running commands in a tier: here where this process may, else in a process of an ordinary user.

As a program it is that process: it takes a request as JSON, and tells what happens as lines of JSON.
"""

import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import anyio
from anyio.abc import ByteStream

from server.errors import RemitError
from server.runner.detection import find_sandbox
from server.runner.filesystem.memory_file import blank
from server.runner.network.callback import CallbackHandler
from server.runner.policy import Command, Exit, Limits, SandboxPolicy
from server.runner.process import ProcessMark
from server.runner.sandbox import Sandbox
from server.runner.tiers.scratch import Scratch
from server.tier_names import Wanted

NOBODY = 65534
ORDINARY_USER = () if os.geteuid() else ("/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
REPOSITORY = Path(__file__).parents[2]

_found: dict[tuple[Wanted, str | None, tuple[str, ...]], Sandbox] = {}


@dataclass(frozen=True, kw_only=True)
class Request:
    """A command, its tier and its policy, as JSON can carry them."""

    tier: Wanted
    argv: tuple[str, ...]
    workspace: str
    env: dict[str, str] = field(default_factory=dict)
    readable: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    network: Literal["none", "full"] | tuple[str, ...] = "none"
    hooks: Literal["read-only", "writable"] = "read-only"
    access: Literal["read-write", "read-only"] = "read-write"
    owner: Literal["task", "user"] = "task"
    hidden: tuple[str, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)
    scratch: str | None = None
    attached: int = 0
    """Bytes of memory that are attached to it; what it has written there is said as the last of its output."""

    token: str | None = None
    """The token of its callback channel, which sends every line back; None: it has no channel."""

    def command(self) -> Command:
        return Command(argv=tuple(self.argv), env=self.env)

    def policy(self) -> SandboxPolicy:
        return SandboxPolicy(
            workspace=Path(self.workspace),
            readable=tuple(map(Path, self.readable)),
            pinned=tuple(map(Path, self.pinned)),
            network=self.network if isinstance(self.network, str) else tuple(self.network),
            hooks=self.hooks,
            access=self.access,
            owner=self.owner,
            calls_back=self.token is not None,
            limits=Limits(**self.limits),
        )


@dataclass(frozen=True, kw_only=True)
class Ran:
    """The end of a command, its output, and the hosts that it was refused."""

    status: int
    seconds: float
    limit: str | None
    output: str
    refused: list[list[object]]


async def sandbox_of(tier: Wanted, scratch: str | None = None, hidden: tuple[str, ...] = ()) -> Sandbox:
    key = (tier, scratch, tuple(hidden))
    if key not in _found:
        found = Scratch(Path(scratch) if scratch else None)
        _found[key] = await find_sandbox(tier, found, tuple(map(Path, hidden)))
    return _found[key]


async def perform(
    request: Request, output: Callable[[bytes], Awaitable[None]], refusals: Callable[[list[object]], None] = print
) -> Exit:
    """Run it in this process."""

    async def started(mark: ProcessMark) -> None:
        assert mark.is_alive()

    async def refused(*refusal: object) -> None:
        refusals(list(refusal))

    async def turned_away(reason: str) -> None:
        refusals([reason])

    sandbox = await sandbox_of(request.tier, request.scratch, request.hidden)
    handler = CallbackHandler(token=request.token, serve=_say_again, refused=turned_away) if request.token else None
    with blank(request.attached) as memory:
        command = replace(request.command(), attached=memory if request.attached else None)
        ended = await sandbox.run(
            command, request.policy(), started=started, output=output, refused=refused, handler=handler
        )
        if attached := os.pread(memory, request.attached, 0).rstrip(b"\0"):
            await output(attached)
    return ended


async def _say_again(visitor: ByteStream) -> None:
    async for data in visitor:
        await visitor.send(data)


async def run(request: Request, *, unprivileged: bool = False) -> Ran:
    """Run it to its end: here, or as an ordinary user where the tier, or the caller, asks for one."""
    said = bytearray()

    async def output(chunk: bytes) -> None:
        said.extend(chunk)

    if (unprivileged or request.tier == "landlock") and os.geteuid() == 0:
        return await _run_elsewhere(request)
    refused: list[list[object]] = []
    ended = await perform(request, output, refused.append)
    return Ran(**asdict(ended), output=said.decode(errors="replace"), refused=refused)


async def _run_elsewhere(request: Request) -> Ran:
    done = await anyio.run_process(
        elsewhere(request, unprivileged=True), env=surroundings(), cwd=REPOSITORY, check=False
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, done.stderr.decode()
    *said, last = lines
    assert "exit" in last, last
    refused = [line["refused"] for line in said if "refused" in line]
    return Ran(**last["exit"], output="".join(line.get("output", "") for line in said), refused=refused)


def elsewhere(request: Request, *, unprivileged: bool, through: tuple[str, ...] = ()) -> list[str]:
    """Return the command line of this program, as this user or as an ordinary one, started by `through`."""
    user, python = (ORDINARY_USER, readable_python()) if unprivileged else ((), sys.executable)
    return [*user, *through, python, "-m", "tests.runner.commands", json.dumps(asdict(request))]


@cache
def readable_python() -> str:
    """Return a Python that an ordinary user can run, and import us with; the test is skipped where there is none."""
    for python in (sys.executable, "/usr/bin/python3"):
        tried = subprocess.run(
            (*ORDINARY_USER, "/usr/bin/env", python, "-c", "import anyio, server.runner.sandbox"),
            env=surroundings(),
            cwd=REPOSITORY,
            capture_output=True,
            check=False,
        )
        if tried.returncode == 0:
            return python
    import pytest  # the program, which is started hundreds of times, does without it

    raise pytest.skip.Exception("no Python here can be run by an ordinary user")


def surroundings() -> dict[str, str]:
    packages = (path for path in sys.path if path.endswith("-packages"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(REPOSITORY), *packages))}


def processes_with(token: str) -> list[int]:
    """Return the processes whose command line has that text in it, this one apart."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it ended meanwhile
            if token.encode() in command:
                found.append(int(entry.name))
    return found


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until it is so; fail if it is not by then."""
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - other processes set no event
            await anyio.sleep(0.01)


def files(folder: Path) -> set[str]:
    """Return all that is in a folder, what a repository stores apart."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "objects" not in path.parts}


def _tell(**event: Any) -> None:
    print(json.dumps(event), flush=True)


async def _main(request: Request) -> None:
    async def output(chunk: bytes) -> None:
        _tell(output=chunk.decode(errors="replace"))

    try:
        _tell(tier=(await sandbox_of(request.tier, request.scratch, request.hidden)).tier)
        _tell(exit=asdict(await perform(request, output, lambda refusal: _tell(refused=refusal))))
    except RemitError as error:
        _tell(error={"code": error.code, "message": error.message, "details": error.details})


if __name__ == "__main__":
    anyio.run(_main, Request(**json.loads(sys.argv[1])))
