"""MCP servers as a turn has them: filled in, or refused with nothing shown."""

from functools import partial
from typing import Any

import pytest

from server.agents.mcp.servers import Local, Remote, resolve
from server.config import McpServerSettings
from server.errors import Code, RemitError
from templates.resolver import resolve as fill_in

SECRET = "tide-and-lantern-7"


def the(values: dict[str, str] | None = None, **settings: Any) -> Remote | Local:
    known = {"tracker": McpServerSettings(**settings)}
    (server,) = resolve(["tracker"], known, partial(_fill_in, {"TOKEN": SECRET} if values is None else values))
    return server


def _fill_in(values: dict[str, str], text: str) -> str:
    return fill_in(text, values)


def test_a_remote_server_has_its_url_and_headers_filled_in() -> None:
    server = the(url="https://api.example.com/<<mcp.TOKEN>>", headers={"Authorization": "Bearer {{mcp.TOKEN}}"})
    assert isinstance(server, Remote)
    assert (server.url, server.headers) == (
        f"https://api.example.com/{SECRET}",
        {"Authorization": f"Bearer {SECRET}"},
    )


def test_a_local_server_has_its_arguments_and_variables_filled_in() -> None:
    server = the(command="tracker", args=("--token", "<<mcp.TOKEN>>"), env={"TOKEN": "<<mcp.TOKEN>>"})
    assert isinstance(server, Local)
    assert (server.argv, server.env) == (("tracker", "--token", SECRET), {"TOKEN": SECRET})


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://api.example.com/mcp", "api.example.com:443"),
        ("http://api.example.com", "api.example.com:80"),
        ("http://127.0.0.1:8000/mcp", "127.0.0.1:8000"),
        ("http://[::1]:8000/mcp", "[::1]:8000"),
        ("https://user:word@api.example.com/", "api.example.com:443"),
    ],
)
def test_a_remote_server_names_the_one_host_and_port_it_needs(url: str, host: str) -> None:
    assert the(url=url).hosts == (host,)


def test_a_local_server_names_the_hosts_it_may_reach() -> None:
    assert the(command="tracker", network=("api.example.com",)).hosts == ("api.example.com",)


def test_a_local_server_reaches_nothing_by_default() -> None:
    assert the(command="tracker").hosts == ()


def test_a_missing_key_names_the_server_and_the_key() -> None:
    with pytest.raises(RemitError) as caught:
        the({}, url="https://api.example.com", headers={"Authorization": "<<mcp.TOKEN>>"})
    assert caught.value.code is Code.TEMPLATE_ERROR
    assert caught.value.details == {"key": "TOKEN", "mcpServer": "tracker"}
    assert "mcp_servers.tracker" in caught.value.message


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"url": "ftp://<<mcp.TOKEN>>"}, id="another scheme"),
        pytest.param({"url": "https://<<mcp.TOKEN>>:99999"}, id="no port"),
        pytest.param({"url": "<<mcp.TOKEN>>"}, id="no address"),
        pytest.param({"url": "https://<<mcp.TOKEN>>_{}/"}, id="no host"),
        pytest.param({"url": "https://h.example", "headers": {"X": "<<mcp.TOKEN>>\n"}}, id="a line break in a header"),
        pytest.param({"url": "https://h.example", "headers": {"X": "<<mcp.TOKEN>> "}}, id="a blank after a header"),
        pytest.param({"url": "https://h.example", "headers": {"X Y": "<<mcp.TOKEN>>"}}, id="no name for a header"),
        pytest.param({"command": "tracker", "args": ("<<mcp.TOKEN>>\0",)}, id="a NUL in an argument"),
    ],
)
def test_what_is_none_once_it_is_filled_in_is_refused_and_not_shown(settings: dict[str, Any]) -> None:
    with pytest.raises(RemitError) as caught:
        the(**settings)
    assert caught.value.code is Code.VALIDATION_ERROR
    assert "tracker" in caught.value.message
    assert SECRET not in repr((caught.value.message, caught.value.details))


def test_a_server_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(RemitError, match=r"'other' \(known: tracker\)"):
        resolve(["other"], {"tracker": McpServerSettings(command="tracker")}, str)


def test_a_name_given_twice_is_one_server() -> None:
    known = {"tracker": McpServerSettings(command="tracker")}
    assert len(resolve(["tracker", "tracker"], known, str)) == 1


@pytest.mark.parametrize(
    "settings", [{"url": "https://<<mcp.TOKEN>>.example"}, {"command": "t", "args": ("<<mcp.TOKEN>>",)}]
)
def test_what_was_filled_in_is_not_in_its_representation(settings: dict[str, Any]) -> None:
    server = the(**settings)
    assert SECRET not in repr(server).replace(str(server.hosts), "")
