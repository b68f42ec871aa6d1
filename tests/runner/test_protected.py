"""Files that other tools execute, in a git workspace."""

import subprocess
from pathlib import Path

import pytest

from server.runner.protected import protected


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


def test_a_folder_without_a_repository_protects_nothing(tmp_path: Path) -> None:
    (tmp_path / ".envrc").touch()
    assert protected(tmp_path) == ()


def test_what_git_and_others_execute_is_protected(repository: Path) -> None:
    (repository / ".envrc").touch()
    (repository / ".vscode").mkdir()
    names = {".git/hooks", ".git/config", ".envrc", ".vscode"}
    assert {str(path.relative_to(repository)) for path in protected(repository)} == names


@pytest.mark.parametrize("name", [".git/hooks", ".envrc", ".git"])
def test_a_symlink_is_never_mounted(repository: Path, tmp_path: Path, name: str) -> None:
    (repository / name).rename(tmp_path / "elsewhere") if (repository / name).exists() else None
    (repository / name).symlink_to(tmp_path)
    assert repository / name not in protected(repository)
    assert not [path for path in protected(repository) if path.is_relative_to(repository / name)]
