"""A command that is talked to."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from server.runner.detection import find_sandbox
from server.runner.dialogue import ProcessIO
from server.runner.policy import Command, Limits, SandboxPolicy
from server.runner.process import ProcessMark

PATIENCE = 20


@pytest.fixture(params=["namespaces", "off"])
def tier(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def talk(tier: str, workspace: Path, script: str, **limits: int) -> AsyncIterator[ProcessIO]:
    async def started(mark: ProcessMark) -> None:
        assert mark.is_alive()

    sandbox = await find_sandbox("namespaces" if tier == "namespaces" else "off")
    command = Command(argv=("/bin/sh", "-c", script), env={})
    policy = SandboxPolicy(workspace=workspace, limits=Limits(**limits))
    with anyio.fail_after(PATIENCE):
        conversation: AbstractAsyncContextManager[ProcessIO] = sandbox.talk(command, policy, started=started)
        async with conversation as process_io:
            yield process_io


async def line(process_io: ProcessIO) -> bytes:
    found = b""
    while not found.endswith(b"\n"):
        found += await process_io.receive()
    return found


async def test_it_answers_each_line_it_is_sent(tier: str, workspace: Path) -> None:
    async with talk(tier, workspace, "while read line; do echo got $line; done") as process_io:
        for word in (b"one", b"two"):
            await process_io.send(word + b"\n")
            assert await line(process_io) == b"got " + word + b"\n"


async def test_it_reads_the_end_of_its_input(tier: str, workspace: Path) -> None:
    async with talk(tier, workspace, "cat; exit 3") as process_io:
        await process_io.send(b"last")
        await process_io.close_input()
        assert await process_io.receive() == b"last"
        assert await process_io.receive() == b""
        assert (await process_io.ended()).status == 3


async def test_its_stderr_is_kept_out_of_its_output(tier: str, workspace: Path) -> None:
    async with talk(tier, workspace, "echo oops >&2; echo fine") as process_io:
        assert await line(process_io) == b"fine\n"
        await process_io.ended()
        assert process_io.last_words == "oops\n"


async def test_a_flood_on_stderr_does_not_stop_it(tier: str, workspace: Path) -> None:
    async with talk(tier, workspace, "head -c 5000000 /dev/zero >&2; echo done") as process_io:
        assert await line(process_io) == b"done\n"


async def test_output_nobody_takes_makes_it_wait_and_loses_nothing(tier: str, workspace: Path) -> None:
    async with talk(tier, workspace, "head -c 5000000 /dev/zero") as process_io:
        taken = 0
        while chunk := await process_io.receive():
            taken += len(chunk)
        assert taken == 5_000_000


async def test_a_large_message_arrives_whole(tier: str, workspace: Path) -> None:
    async with talk(tier, workspace, "head -c 3000000 | wc -c") as process_io:
        await process_io.send(b"x" * 3_000_000)
        assert (await line(process_io)).strip() == b"3000000"


async def test_one_that_does_not_listen_any_more_is_an_error(tier: str, workspace: Path) -> None:
    async with talk(tier, workspace, "exec 0<&-; echo deaf") as process_io:
        await line(process_io)
        await process_io.ended()
        await process_io.close_input()
        with pytest.raises(anyio.BrokenResourceError):
            await process_io.send(b"hello")


async def test_its_limits_end_it(tier: str, workspace: Path) -> None:
    async with talk(tier, workspace, "while :; do :; done", cpu_seconds=1) as process_io:
        assert await process_io.receive() == b""
        assert "processor time" in ((await process_io.ended()).limit or "")


async def test_leaving_ends_it_with_everything_it_started(tier: str, workspace: Path) -> None:
    script = f"(setsid sh -c 'sleep 1000; : {workspace}' &); echo up; sleep 1000"
    async with talk(tier, workspace, script) as process_io:
        await line(process_io)
