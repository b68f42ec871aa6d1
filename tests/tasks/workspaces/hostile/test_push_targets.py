"""Push targets: folders of this machine in which git would execute hooks that nobody has inspected."""

import os
from pathlib import Path

import pytest

from server.runner.filesystem.bounded_reader import BoundedReader
from server.runner.scanning.git_execution import of_git
from server.runner.scanning.places import SensitivePath
from server.runner.scanning.push_targets import is_harmless
from server.runner.scanning.repositories import find_places
from tests.tasks.workspaces.projects import git, repository, shell

HARMLESS = ["origin", ".", "..", "../library", "{top}/.", "{top}", "/nowhere/else", "../../outside", "../hub", "./"]
NOT = [
    "../.git/hidden",
    "{top}/.git/hidden",
    ".git/info/hidden",
    "link",
    "../gone",
    "/proc/self/cwd/.git/info/hidden",
    "//proc/self/cwd/.git/info/hidden",
    "cwd/.git/info/hidden",
    "cwd/../../outside",
    "{top}/link",
]


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """A repository in a repository; beside it a library and a bare one, and some that are hidden among git's files."""
    top = repository(tmp_path / "project")
    repository(tmp_path / "outside")
    shell(top, "git init -q new; git init -q library; git init -q --bare hub.git; git init -q --bare .git/hidden")
    shell(top, "git init -q --bare new/.git/info/hidden; ln -s .git/hidden link; ln -s ../.git/hidden new/link")
    os.symlink("/proc/self/cwd", top / "new/cwd")
    return top / "new"


def found(new: Path, named: str) -> bool:
    """Return whether it is harmless that the settings of the new repository name this."""
    top = new.parent
    return is_harmless(BoundedReader(top), new / ".git", named.replace("{top}", str(top)), set(find_places(top)))


@pytest.mark.parametrize("named", HARMLESS)
def test_a_repository_that_is_looked_at_or_lies_elsewhere_is_harmless(new: Path, named: str) -> None:
    assert found(new, named)


@pytest.mark.parametrize("named", NOT)
def test_one_that_is_hidden_or_not_there_is_not(new: Path, named: str) -> None:
    assert not found(new, named)


@pytest.mark.parametrize("name", ["remote.origin.url", "remote.origin.pushurl", "branch.main.remote"])
@pytest.mark.parametrize("named", ["../.git/hidden", "file://{top}/.git/hidden"])
def test_a_setting_that_names_a_hidden_one_is_harm(new: Path, name: str, named: str) -> None:
    top = new.parent
    places = set(find_places(top))
    assert SensitivePath("git", new / ".git") in places
    assert not any(harm for _, harm in of_git(BoundedReader(top), new / ".git", places))
    git(new, "config", name, named.replace("{top}", str(top)))
    assert any(harm for _, harm in of_git(BoundedReader(top), new / ".git", places))
