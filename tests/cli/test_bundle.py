"""`remit doctor --bundle`: one file for a bug report, with all that helps and nothing that is secret."""

import json
import stat
import zipfile
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine

SECRET = "canary-of-a-file"
MODEL_KEY = "canary-of-the-key-of-a-model"


@pytest.fixture
def bundle(own_remit: CommandLine, tmp_path: Path) -> dict[str, str]:
    """The parts of a bundle, of a server that has done a task, by their names."""
    token = tmp_path / "token"
    token.write_text(SECRET)
    (tmp_path / "model-key").write_text(MODEL_KEY)
    settings = own_remit.home.parent / "remit.toml"
    settings.write_text(
        f'timeout = 77\nsandbox = "off"\nworkspaces = ["{tmp_path}"]\n[secrets.TOKEN]\nfile = "{token}"\n'
        f'[agents.llm]\napi_key.file = "{tmp_path / "model-key"}"\n'
        '[agents.mine]\ncommand = ["mine", "--key", "canary-of-a-setting"]\nenv = { KEY = "canary-of-a-variable" }\n'
    )
    own_remit("run", "echo canary-of-a-task; exit 3")
    with (own_remit.home / "server.log").open("a") as log:
        log.write(f"a library has said {SECRET}, and another {MODEL_KEY}\n")
    done = own_remit("doctor", "--bundle", str(tmp_path / "bundle.zip"))
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "bundle.zip") as file:
        return {name: file.read(name).decode() for name in file.namelist()}


def test_it_has_what_a_bug_report_needs(bundle: dict[str, str]) -> None:
    found = {finding["name"] for finding in json.loads(bundle["doctor.json"])}
    assert {"remit", "sandbox", "SQLite", "database", "server"} <= found
    database = json.loads(bundle["database.json"])
    assert (database["tasksByStatus"], database["quickCheck"]) == ([["failed", 1]], [["ok"]])
    assert "remit.db" in bundle["state.txt"]
    assert "listening, pid" in bundle["server.log"]


def test_it_lists_what_is_in_it(bundle: dict[str, str]) -> None:
    listed = [line.partition(":")[0] for line in bundle["contents.txt"].splitlines()]
    assert ["contents.txt", *listed] == list(bundle)


def test_settings_are_told_as_far_as_they_can_hold_no_secret(bundle: dict[str, str]) -> None:
    settings = json.loads(bundle["settings.json"])
    assert (settings["timeout"], settings["sandbox"], settings["workspaces"]) == (77, "off", "set: 1 values")
    assert settings["secrets"] == {"TOKEN": {"file": "set"}}


def test_no_secret_and_nothing_of_a_task_is_in_it(bundle: dict[str, str]) -> None:
    assert [name for name, text in bundle.items() if "canary" in text] == []


def test_its_owner_alone_can_read_it(own_remit: CommandLine, tmp_path: Path) -> None:
    own_remit("doctor", "--bundle", str(tmp_path / "bundle.zip"))
    assert stat.S_IMODE((tmp_path / "bundle.zip").stat().st_mode) == 0o600


def test_a_file_that_is_there_is_left_as_it_is(own_remit: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "bundle.zip").write_text("mine")
    done = own_remit("doctor", "--bundle", str(tmp_path / "bundle.zip"))
    assert (done.returncode, (tmp_path / "bundle.zip").read_text()) == (1, "mine")
    assert "cannot be written: File exists" in done.stderr


def test_without_a_name_it_is_written_to_the_current_folder(own_remit: CommandLine) -> None:
    answer = own_remit.json("doctor", "--bundle")
    assert (own_remit.folder / answer["bundle"]).is_file()
    assert {"name": "doctor.json", "about": "what `remit doctor` finds"} in answer["parts"]


def test_it_is_written_where_there_is_nothing_yet(own_remit: CommandLine) -> None:
    parts = own_remit.json("doctor", "--bundle")["parts"]
    assert [part["name"] for part in parts] == ["doctor.json", "settings.json", "database.json", "state.txt"]


def test_a_damaged_database_is_told(own_remit: CommandLine, tmp_path: Path) -> None:
    own_remit.home.mkdir(mode=0o700)
    (own_remit.home / "remit.db").write_bytes(b"no database" * 1000)
    own_remit("doctor", "--bundle", str(tmp_path / "bundle.zip"))
    with zipfile.ZipFile(tmp_path / "bundle.zip") as file:
        assert "it cannot be read" in json.loads(file.read("database.json"))["error"]


def test_nothing_is_made_beside_a_database_at_rest(own_remit: CommandLine, tmp_path: Path) -> None:
    own_remit("run", "true")
    own_remit("server", "stop", "--force")
    before = sorted(path.name for path in own_remit.home.glob("remit.db*"))
    own_remit("doctor", "--bundle", str(tmp_path / "bundle.zip"))
    assert sorted(path.name for path in own_remit.home.glob("remit.db*")) == before
