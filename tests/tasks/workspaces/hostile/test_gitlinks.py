"""Repositories that an index names: found in every form of an index, and nothing of git's is executed for that."""

import os
from pathlib import Path
from time import monotonic

import pytest

from server.runner.filesystem import walk
from server.runner.filesystem.walk import ScanBudget
from server.runner.scanning import gitlinks
from server.runner.scanning.gitlinks import find_linked
from server.runner.scanning.places import SensitivePath
from tests.tasks.workspaces.hostile.traps import COMMIT, FORGE, LINK, fill
from tests.tasks.workspaces.projects import git, repository, shell


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return repository(tmp_path / "project")


def linked(folder: Path) -> set[SensitivePath]:
    """Return what is found of the repositories that the one in this folder names."""
    return set(find_linked(folder, [SensitivePath("tree", folder)], ScanBudget()))


def add(folder: Path, name: str) -> None:
    """Make a repository in a folder, and put it into its index."""
    shell(folder, fill(f"git init -q {{0}} --object-format=$(git rev-parse --show-object-format)\n{COMMIT}", name))
    shell(folder, fill(LINK, name, "."))


def of(tree: Path) -> set[SensitivePath]:
    """Return the places of a repository with these working files."""
    return {SensitivePath("tree", tree), SensitivePath("git", tree / ".git")}


@pytest.mark.parametrize("form", ["--index-version=4", "--split-index", "--untracked-cache", "--really-refresh"])
def test_gitlinks_are_found_in_every_form_of_an_index(folder: Path, form: str) -> None:
    git(folder, "update-index", form)
    add(folder, "a/b")
    assert linked(folder) == of(folder / "a/b")


def test_gitlinks_are_found_where_settings_have_git_read_an_index_in_many_threads(folder: Path) -> None:
    for number in range(300):
        (folder / f"file-{number}").touch()
    git(folder, "add", ".")
    git(folder, "config", "index.threads", "300")
    add(folder, "a/b")
    assert linked(folder) == of(folder / "a/b")


def test_gitlinks_are_found_where_objects_have_long_names(tmp_path: Path) -> None:
    folder = repository(tmp_path / "long", "--object-format=sha256")
    add(folder, "a/b")
    assert linked(folder) == of(folder / "a/b")


def test_gitlinks_of_gitlinks_are_found(folder: Path) -> None:
    add(folder, "a")
    add(folder / "a", "b")
    assert linked(folder) == of(folder / "a") | of(folder / "a/b")


def test_gitlinks_of_a_linked_worktree_are_found(folder: Path) -> None:
    git(folder, "worktree", "add", "-q", "more")
    add(folder / "more", "a")
    assert set(find_linked(folder, [SensitivePath("tree", folder / "more")], ScanBudget())) == of(folder / "more/a")


def test_a_gitlink_that_is_reached_through_a_link_is_none(folder: Path, tmp_path: Path) -> None:
    add(folder, "a/b")
    (folder / "a").rename(tmp_path / "a")
    (folder / "a").symlink_to(tmp_path / "a")
    assert linked(folder) == set()


@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "a/./b", ".git/a", "a/.GIT/b", "a/"])
def test_an_index_with_names_that_git_does_not_write_is_a_place_of_its_own(folder: Path, name: str) -> None:
    shell(folder, fill(FORGE, name, "0xE000"))
    assert linked(folder) == {SensitivePath("index", folder / ".git/index")}


def test_so_is_one_for_which_git_takes_too_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gitlinks, "SECONDS", 0.5)
    os.mkfifo(folder / "fifo")
    git(folder, "config", "include.path", "../fifo")
    assert linked(folder) == {SensitivePath("index", folder / ".git/index")}


def test_of_more_than_are_followed_the_index_is_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST_GITLINKS", 1)
    add(folder, "a")
    assert linked(folder) == of(folder / "a")
    add(folder, "b")
    assert SensitivePath("index", folder / ".git/index") in linked(folder)


def test_hostile_repositories_take_no_more_than_their_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gitlinks, "SECONDS", 1.0)
    os.mkfifo(folder / "fifo")
    trees = [folder / f"a{number}" for number in range(20)]
    for tree in trees:
        shell(folder, f"git init -q {tree}; git -C {tree} config include.path {folder}/fifo; touch {tree}/.git/index")
    began = monotonic()
    places = set(find_linked(folder, [SensitivePath("tree", tree) for tree in trees], ScanBudget()))
    assert places == {SensitivePath("index", tree / ".git/index") for tree in trees}
    assert monotonic() - began < 2 * len(trees) / 4


def test_nothing_that_settings_name_is_executed(folder: Path, tmp_path: Path) -> None:
    executed = "".join(f"git config {name} 'touch {tmp_path}/mark; false'\n" for name in EXECUTED)
    shell(folder, executed)
    add_file = "printf 'x filter=x diff=x\\n' > .git/info/attributes; touch x; git -c filter.x.clean=cat add x || true"
    shell(folder, f"rm -f {tmp_path}/mark; {add_file}; rm -f {tmp_path}/mark")
    assert linked(folder) == set()
    assert not (tmp_path / "mark").exists()
    shell(folder, "git status || true")
    assert (tmp_path / "mark").exists(), "git would have executed nothing"


EXECUTED = (
    "core.fsmonitor",
    "core.pager",
    "pager.ls-files",
    "core.sshCommand",
    "filter.x.clean",
    "filter.x.process",
    "diff.x.textconv",
    "alias.ls-files",
)
