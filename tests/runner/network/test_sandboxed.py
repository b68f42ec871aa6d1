"""A command reaches the hosts its policy names, through its proxy, and nothing by any other way."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.abc import UDPSocket

from server.errors import Code, RemitError
from server.runner.policy import SandboxPolicy
from server.runner.tiers.interpreter import find_interpreter
from server.runner.tiers.scratch import Scratch
from server.runner.tiers.supervised import Landlock
from server.tier_names import TierName
from tests.needs import lacks
from tests.runner.commands import Ran, Request, perform, run
from tests.runner.network.services import Service, service
from tests.runner.network.visitor import WAYS_AROUND

VISITOR = Path(__file__).with_name("visitor.py").read_text()


async def visitor(tier: TierName, workspace: Path, way: str, port: int, *hosts: str) -> Request:
    interpreter = await find_interpreter()
    return Request(
        tier=tier,
        argv=(*interpreter.command("-c"), VISITOR, way, str(port)),
        workspace=str(workspace),
        readable=tuple(map(str, interpreter.folders)),
        network=hosts,
    )


async def visit(tier: TierName, workspace: Path, way: str, port: int, *hosts: str, unprivileged: bool = False) -> Ran:
    return await run(await visitor(tier, workspace, way, port, *hosts), unprivileged=unprivileged)


@asynccontextmanager
async def service_with_datagrams() -> AsyncIterator[Service]:
    """Yield a service that also echoes datagrams, on the same port."""

    async with (
        service() as upstream,
        await anyio.create_udp_socket(local_host="127.0.0.1", local_port=upstream.port) as datagrams,
        anyio.create_task_group() as group,
    ):
        group.start_soon(_echo, datagrams)
        yield upstream
        group.cancel_scope.cancel()


async def _echo(datagrams: UDPSocket) -> None:
    async for data, sender in datagrams:
        await datagrams.sendto(data, *sender)


async def test_a_named_host_is_reached(confining: TierName, workspace: Path) -> None:
    async with service() as upstream:
        ran = await visit(confining, workspace, "ask", upstream.port, upstream.here)
    assert (ran.output, ran.refused) == ("200 ok\n", [])
    assert upstream.heard[0].startswith(b"GET /path HTTP/1.1\r\n")


async def test_a_named_host_is_reached_through_a_tunnel(confining: TierName, workspace: Path) -> None:
    async with service() as upstream:
        ran = await visit(confining, workspace, "tunnel", upstream.port, upstream.here)
    assert ran.output.startswith("HTTP/1.1 200 OK")


@pytest.mark.parametrize("way", ["ask", "tunnel"])
@pytest.mark.parametrize("hosts", [(), ("api.example.com", "127.0.0.1:1")])
async def test_another_host_is_refused_and_told_of(
    hosts: tuple[str, ...], way: str, confining: TierName, workspace: Path
) -> None:
    async with service() as upstream:
        ran = await visit(confining, workspace, way, upstream.port, *hosts)
    assert "403" in ran.output
    assert f'to allow it, add "{upstream.here}" to the setting "network"' in ran.output or way == "tunnel"
    assert ran.refused == [["127.0.0.1", upstream.port, "is not among the hosts this task may reach"]]
    assert upstream.heard == []


@pytest.mark.parametrize("way", [way.__name__ for way in WAYS_AROUND])
async def test_there_is_no_way_around_the_proxy(way: str, confining: TierName, workspace: Path) -> None:
    async with service_with_datagrams() as upstream:
        open_way = await visit("off", workspace, way, upstream.port, unprivileged=confining == "landlock")
        closed = await visit(confining, workspace, way, upstream.port, upstream.here)
    if not open_way.output.lower().endswith("ok\n"):
        pytest.skip("this machine closes it without a sandbox as well")
    assert closed.output.startswith("closed: ")


async def test_nothing_listens_where_landlock_cannot_hold_it(workspace: Path) -> None:
    script = "import socket; socket.socket().listen()"
    request = replace(await visitor("landlock", workspace, "ask", 1, "a.example"))
    ran = await run(replace(request, argv=(*request.argv[:-3], script)))
    assert "Operation not permitted" in ran.output


async def test_a_command_without_hosts_is_told_of_no_proxy(confining: TierName, workspace: Path) -> None:
    ran = await run(Request(tier=confining, argv=("/usr/bin/env",), workspace=str(workspace)))
    assert "proxy" not in ran.output.lower()


@pytest.mark.namespaces
async def test_two_commands_at_once_have_each_their_own_hosts(workspace: Path) -> None:
    said: dict[str, str] = {}

    async def tell(name: str, *hosts: str) -> None:
        said[name] = (await visit("namespaces", workspace, "ask", upstream.port, *hosts)).output[:3]

    async with service() as upstream, anyio.create_task_group() as group:
        group.start_soon(tell, "one", upstream.here)
        group.start_soon(tell, "other")
    assert said == {"one": "200", "other": "403"}


@pytest.mark.namespaces
async def test_a_command_that_is_cancelled_leaves_no_connection(workspace: Path) -> None:
    async with service(until=b"never") as upstream:
        request = await visitor("namespaces", workspace, "ask", upstream.port, upstream.here)
        async with anyio.create_task_group() as group:
            group.start_soon(perform, request, _ignore)
            with anyio.fail_after(10):
                await upstream.connected.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(10):
            await upstream.parted.wait()


@pytest.mark.namespaces
async def test_what_goes_wrong_in_telling_of_a_refusal_ends_the_command(workspace: Path) -> None:
    def fail(_: list[object]) -> None:
        raise ConnectionError("nobody can be told")

    request = await visitor("namespaces", workspace, "ask", 1)
    with pytest.raises(ExceptionGroup) as caught:
        await perform(request, _ignore, fail)
    assert caught.group_contains(ConnectionError, match="nobody can be told")


@pytest.mark.namespaces
async def test_what_goes_wrong_beside_the_proxy_is_raised_as_it_is(workspace: Path) -> None:
    async def fail(_: bytes) -> None:
        raise ConnectionError("nobody takes the output")

    with pytest.raises(ConnectionError, match="nobody takes the output"):
        await perform(await visitor("namespaces", workspace, "ask", 1), fail)


def test_a_host_that_is_none_is_refused(workspace: Path) -> None:
    with pytest.raises(RemitError, match="https:") as caught:
        SandboxPolicy(workspace=workspace, network=("https://example.com",)).check()
    assert caught.value.code == Code.VALIDATION_ERROR


async def test_a_landlock_that_knows_no_ports_has_no_network_by_name(workspace: Path) -> None:
    tier = Landlock(interpreter=await find_interpreter(), scratch=Scratch(), abi=3)
    with pytest.raises(RemitError, match=r"Linux 6\.7"):
        async with tier.confined(SandboxPolicy(workspace=workspace, network=("a.example",)), []):
            pass


@pytest.mark.parametrize("option", ["--no-proxytunnel", "--proxytunnel"])
async def test_curl_finds_its_way(option: str, confining: TierName, workspace: Path) -> None:
    if shutil.which("curl") is None:
        lacks("curl is not installed")
    async with service() as upstream:
        argv = ("/usr/bin/curl", "--silent", "--show-error", option, f"http://{upstream.here}/")
        ran = await run(Request(tier=confining, argv=argv, workspace=str(workspace), network=(upstream.here,)))
    assert (ran.status, ran.output) == (0, "ok")


async def _ignore(_: bytes) -> None:
    pass
