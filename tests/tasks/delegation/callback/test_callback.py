"""The callback channel of a command, in each tier: who can connect, and who cannot."""

import json
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.runner.network.callback import (
    WRONG_PLACE,
    WRONG_TOKEN,
    CallbackChannel,
    CallbackHandler,
    new_token,
    serving_channel,
)
from server.runner.tiers.interpreter import find_interpreter
from server.tier_names import TierName
from tests.runner.commands import Ran, Request, run
from tests.runner.conftest import confining, tier, workspace

__all__ = ["confining", "tier", "workspace"]

pytestmark = pytest.mark.anyio

TOKEN = "t" * 43
HERE = ("127.0.0.1:1",)
"""A network by name, which the landlock tier needs for a callback channel."""

ASK = """
import os, socket, sys
host, _, port = os.environ["REMIT_DOOR"].rpartition(":")
visitor = socket.create_connection((host, int(port)))
visitor.sendall((sys.argv[1] if len(sys.argv) > 1 else os.environ["REMIT_TOKEN"]).encode() + b"\\nhello\\n")
print(visitor.makefile().readline().strip())
"""


async def visit(
    tier: TierName, workspace: Path, *args: str, network: str | tuple[str, ...] = HERE, unprivileged: bool = False
) -> Ran:
    interpreter = await find_interpreter()
    return await run(
        Request(
            tier=tier,
            argv=(*interpreter.command("-c"), ASK, *args),
            workspace=str(workspace),
            readable=tuple(map(str, interpreter.folders)),
            network=network,  # type: ignore[arg-type]
            token=TOKEN,
        ),
        unprivileged=unprivileged,
    )


async def test_a_command_comes_in_with_its_token(tier: TierName, workspace: Path) -> None:
    ran = await visit(tier, workspace)
    assert (ran.output, ran.refused) == ("hello\n", [])


async def test_a_command_comes_in_where_the_network_is_shared(tier: TierName, workspace: Path) -> None:
    ran = await visit(tier, workspace, network="full")
    assert (ran.output, ran.refused) == ("hello\n", [])


@pytest.mark.namespaces
async def test_a_command_of_an_ordinary_user_comes_in_where_the_network_is_shared(workspace: Path) -> None:
    ran = await visit("namespaces", workspace, network="full", unprivileged=True)
    assert (ran.output, ran.refused) == ("hello\n", [])


@pytest.mark.namespaces
async def test_a_command_without_a_network_has_a_callback_channel_in_a_network_of_its_own(workspace: Path) -> None:
    ran = await visit("namespaces", workspace, network="none")
    assert (ran.output, ran.refused) == ("hello\n", [])


async def test_a_command_without_a_network_has_none_where_that_would_be_one(
    confining: TierName, workspace: Path
) -> None:
    if confining == "namespaces":
        pytest.skip("this is for the landlock tier")
    ran = await visit(confining, workspace, network="none")
    assert "KeyError: 'REMIT_DOOR'" in ran.output


async def test_another_token_is_refused_and_told_of(tier: TierName, workspace: Path) -> None:
    ran = await visit(tier, workspace, "u" * 43)
    assert json.loads(ran.output)["error"]["message"] == WRONG_TOKEN
    assert ran.refused == [[WRONG_TOKEN]]


# What follows needs no sandbox: here is where the machine's loopback is shared, and others come to the port.


class Kept:
    """A callback channel on the machine's loopback, for the processes beneath `root`."""

    def __init__(self, attend: Callable[[ByteStream], Awaitable[None]] | None = None) -> None:
        self.attend = attend or self._attend
        self.token = new_token()
        self.refused: list[str] = []
        self.told = anyio.Event()
        self.channel = CallbackChannel.open(())

    async def _refused(self, reason: str) -> None:
        self.refused.append(reason)
        self.told.set()

    async def _attend(self, visitor: ByteStream) -> None:
        async for data in visitor:
            await visitor.send(data)

    def open(self, root: int) -> AbstractAsyncContextManager[None]:
        assert self.channel.listener
        handler = CallbackHandler(token=self.token, serve=self.attend, refused=self._refused)
        return serving_channel(self.channel, self.channel.listener, handler, root)


async def said(port: int, data: bytes) -> bytes:
    """Return what comes back for this, until the other side has closed."""
    came = b""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(data)
        await stream.send_eof()
        try:
            while True:
                came += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return came


async def test_a_process_of_the_command_comes_in() -> None:
    keeping = Kept()
    async with keeping.open(os.getpid()):
        assert await said(keeping.channel.port, f"{keeping.token}\nhello".encode()) == b"hello"


async def test_a_process_elsewhere_is_refused_whatever_it_shows() -> None:
    keeping = Kept()
    async with await anyio.open_process(["/bin/sleep", "60"]) as other:
        async with keeping.open(other.pid):
            came = await said(keeping.channel.port, f"{keeping.token}\nhello".encode())
        other.kill()
    assert json.loads(came)["error"]["message"] == WRONG_PLACE
    assert keeping.refused == [WRONG_PLACE]


async def test_it_is_closed_once_its_command_is_over() -> None:
    keeping = Kept()
    async with keeping.open(os.getpid()):
        pass
    with pytest.raises(OSError, match="connect"):
        await said(keeping.channel.port, keeping.token.encode())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=1, max_size=200), cut=st.integers(0, 43))
async def test_no_garbage_comes_in(data: bytes, cut: int) -> None:
    keeping = Kept()
    async with keeping.open(os.getpid()):
        shown = keeping.token[:cut].encode() + data
        came = await said(keeping.channel.port, shown)
        assert b"hello" not in came
        assert await said(keeping.channel.port, f"{keeping.token}\nhello".encode()) == b"hello"


async def test_it_closes_on_whoever_does_not_listen() -> None:
    flooding = anyio.Event()

    async def flood(visitor: ByteStream) -> None:
        with anyio.CancelScope(shield=True):  # as whatever sends a whole line does
            flooding.set()
            while True:
                await visitor.send(b"x" * 65536)

    keeping = Kept(flood)
    with anyio.fail_after(30):
        async with keeping.open(os.getpid()):
            with socket.create_connection(("127.0.0.1", keeping.channel.port)) as visitor:
                visitor.sendall(f"{keeping.token}\n".encode())
                await flooding.wait()


async def test_what_goes_wrong_with_one_visitor_is_no_matter_to_the_next() -> None:
    async def fail(visitor: ByteStream) -> None:
        if await visitor.receive() == b"fail":
            raise ArithmeticError("a mistake in remit")
        await visitor.send(b"hello")

    keeping = Kept(fail)
    async with keeping.open(os.getpid()):
        assert await said(keeping.channel.port, f"{keeping.token}\nfail".encode()) == b""
        assert await said(keeping.channel.port, f"{keeping.token}\nhello".encode()) == b"hello"
