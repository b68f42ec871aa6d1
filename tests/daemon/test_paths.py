"""The paths of a server's files, and who may read them."""

import os
import stat
from pathlib import Path

import pytest

from server.daemon.paths import StatePaths, find_state_paths, settings_digest
from server.errors import Code, RemitError


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("REMIT_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/home/ada")


@pytest.mark.parametrize(
    ("environment", "state"),
    [
        ({}, "/home/ada/.local/state/remit"),
        ({"XDG_STATE_HOME": "/x"}, "/x/remit"),
        ({"XDG_STATE_HOME": "relative"}, "/home/ada/.local/state/remit"),
        ({"XDG_STATE_HOME": "/x", "REMIT_HOME": "/y"}, "/y"),
        ({"REMIT_HOME": "~/tasks"}, "/home/ada/tasks"),
    ],
)
def test_the_state_folder_is_the_one_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], state: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert find_state_paths().state == state


@pytest.mark.parametrize(
    ("environment", "config"),
    [
        ({}, "/home/ada/.config/remit/remit.toml"),
        ({"XDG_CONFIG_HOME": "/x"}, "/x/remit/remit.toml"),
        ({"XDG_CONFIG_HOME": "/x", "REMIT_CONFIG": "/y.toml"}, "/y.toml"),
    ],
)
def test_the_settings_are_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], config: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert find_state_paths().config == config


def test_a_relative_folder_is_beneath_the_current_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REMIT_HOME", "state")
    assert find_state_paths().state == str(tmp_path / "state")


def test_the_state_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    state = tmp_path / "a" / "b"
    _at(state).prepare()
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o710, 0o702])
def test_a_state_folder_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(RemitError, match=f"close it with: chmod 700 '{tmp_path}'") as refusal:
        _at(tmp_path).prepare()
    assert refusal.value.code is Code.FORBIDDEN


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_state_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(RemitError, match="belongs to another user"):
        _at(tmp_path).prepare()


def test_a_file_in_the_place_of_the_state_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(RemitError, match="cannot be made: File exists"):
        _at(tmp_path / "state").prepare()


@pytest.mark.parametrize("name", ["REMIT_MAX_RUNNING", "REMIT_CONFIG", "REMIT_"])
def test_the_digest_changes_with_a_setting(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = settings_digest()
    monkeypatch.setenv(name, "7")
    assert settings_digest() != before


@pytest.mark.parametrize("name", ["REMIT_HOME", "REMIT_SERVER", "PATH"])
def test_the_digest_does_not_change_with_what_is_no_setting(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = settings_digest()
    monkeypatch.setenv(name, "7")
    assert settings_digest() == before


def _at(state: Path) -> StatePaths:
    return StatePaths(str(state), str(state / "remit.toml"))
