"""The operator's settings."""

import os
import re
from pathlib import Path

import pytest

from server.config import load
from server.errors import Code, RemitError


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("REMIT_")]:
        monkeypatch.delenv(name)


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load(tmp_path / "none.toml").approvals == "caller"


def test_a_variable_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "remit.toml").write_text("max_running = 3\ntimeout = 5\n")
    monkeypatch.setenv("REMIT_MAX_RUNNING", "7")
    settings = load(tmp_path / "remit.toml")
    assert (settings.max_running, settings.timeout) == (7, 5)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("max_runing = 3", "max_runing", id="a misspelt setting"),
        pytest.param("max_running = 0", "max_running", id="a value out of bounds"),
        pytest.param('approvals = "nobody"', "approvals", id="an unknown choice"),
        pytest.param('[secrets.A]\nfile = "x"\nkeyring = "a/b"', "secrets.A", id="a secret with two sources"),
        pytest.param("[secrets.A]", "secrets.A", id="a secret without a source"),
        pytest.param('[agents.llm]\ndelegates_to = ["nobody"]', "delegates_to", id="an agent that is none"),
        pytest.param('[mcp_servers.remit]\ncommand = "x"', "mcp_servers.remit", id="an MCP server with our own name"),
        pytest.param("max_running = ", "remit.toml", id="a file that is no TOML"),
    ],
)
def test_a_bad_setting_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "remit.toml").write_text(text)
    with pytest.raises(RemitError) as caught:
        load(tmp_path / "remit.toml")
    assert caught.value.code is Code.VALIDATION_ERROR
    assert named in caught.value.message


def test_a_misspelt_variable_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMIT_APROVALS", "person")
    with pytest.raises(RemitError, match="REMIT_APROVALS"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("REMIT_WORKSPACES", "/a", 'REMIT_WORKSPACES must be JSON, like ["/a"] for a list'),
        ("REMIT_AGENTS__SHELL__READABLE", "x", "REMIT_AGENTS__SHELL__READABLE must be JSON"),
        ("REMIT_AGENTS__SHELL__NETWORK", "x", "agents.shell.network: must be 'none', 'full' or a list of hosts"),
        ("REMIT_BACKUP__FOLDER", "/a\udcff", "REMIT_BACKUP__FOLDER must be a text in UTF-8"),
        ("REMIT_RETENTION__TASKS", "never", "): retention.tasks: must be a whole number of seconds"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(RemitError, match=re.escape(told)):
        load(tmp_path / "none.toml")


def test_a_settings_file_that_is_named_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMIT_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(RemitError, match=r"none\.toml"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("workspaces = 5", "workspaces: must be a list"),
        ("nonsense = 1", "nonsense: is unknown"),
        ('max_running = "many"', "max_running: must be a whole number"),
        ('approvals = "nobody"', "approvals: must be 'caller' or 'person'"),
        ('[agents.llm]\nmodel = "gpt"', "agents.llm.model: must be PROVIDER:NAME, the provider in lower case, as"),
        ('[secrets.A]\nkeyring = "x"', "secrets.A.keyring: must be SERVICE/USER"),
        ('[secrets.a-b]\nfile = "x"', "secrets.a-b: must be a variable's name: letters, digits and _, and no digit"),
        ("[mcp_servers.a]\ntimeout = 0", "mcp_servers.a.timeout: must be more than 0"),
        ('[limits]\nmemory = "4 foo"', "limits.memory: must be a size: bytes, or a text like 4GiB"),
        ("[backup]\nfolder = 5", "backup.folder: must be a path"),
        ("[retention]\ntasks = 5", "): retention.tasks: must be a whole number of seconds, 3600 to"),
        ("[agents.shell]\nnetwork = 5", "): agents.shell.network: must be 'none', 'full' or a list of hosts"),
        ('default_agent = "nobody"', "variables): default_agent: there is no agent 'nobody' to do tasks"),
    ],
)
def test_what_is_wrong_with_a_setting_is_said_in_plain_words(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "remit.toml").write_text(text)
    with pytest.raises(RemitError, match=re.escape(told)):
        load(tmp_path / "remit.toml")
