"""Removing a workspace, whatever an agent made of it."""

import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from server.runner.filesystem.removal import delete_tree
from server.runner.workspace.upload import Upload
from server.runner.workspace.workspaces import Workspaces

from .adversary import dig, every_moment, swapping, tree


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """Room for 32 more descriptors, as if the server were busy."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 32, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_workspace_is_removed_with_everything_in_it(workspaces: Workspaces, state: Path) -> None:
    workspaces.create("task", [Upload("a/b", b"x")])
    workspaces.remove("task")
    assert tree(state) == {"homes": None, "workspaces": None}


def test_other_workspaces_stay(workspaces: Workspaces) -> None:
    workspaces.create("task")
    other = workspaces.create("other", [Upload("a", b"x")])
    workspaces.remove("task")
    assert tree(other / "uploads") == {"a": b"x"}


def test_removing_again_does_nothing(workspaces: Workspaces) -> None:
    workspaces.create("task")
    workspaces.remove("task")
    workspaces.remove("task")
    assert not workspaces.path("task").exists()


@pytest.mark.long
@pytest.mark.usefixtures("few_descriptors")
def test_a_tree_of_ten_thousand_levels_is_removed(workspaces: Workspaces) -> None:
    dig(workspaces.create("task"), 10_000)
    workspaces.remove("task")
    assert not workspaces.path("task").exists()


def test_a_tree_deeper_than_any_path_is_long_is_removed(workspaces: Workspaces) -> None:
    dig(workspaces.create("task"), 200, "x" * 255)
    workspaces.remove("task")
    assert not workspaces.path("task").exists()


def test_folders_and_files_that_nobody_may_enter_or_write_are_removed(unprivileged: Path) -> None:
    workspaces = Workspaces(unprivileged / "workspaces")
    folder = workspaces.create("task")
    (folder / "shut" / "inner").mkdir(parents=True)
    (folder / "shut" / "inner" / "file").touch(mode=0)
    (folder / "read-only").mkdir()
    (folder / "read-only" / "file").touch(mode=0o400)
    for path, mode in [("shut/inner", 0), ("shut", 0), ("read-only", 0o500), (".", 0)]:
        (folder / path).chmod(mode)
    with pytest.raises(PermissionError):
        os.listdir(folder)

    workspaces.remove("task")
    assert not folder.exists()


def test_a_symlink_is_removed_and_what_it_points_to_stays(workspaces: Workspaces, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"x")
    outside.chmod(0o500)
    folder = workspaces.create("task")
    (folder / "folder").symlink_to(outside)
    (folder / "file").symlink_to(outside / "file")
    (folder / "loop").symlink_to("loop")

    workspaces.remove("task")
    assert not folder.exists()
    assert tree(outside) == {"file": b"x"}
    assert outside.stat().st_mode & 0o777 == 0o500


def test_what_is_neither_file_nor_folder_is_removed(workspaces: Workspaces) -> None:
    folder = workspaces.create("task")
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
    workspaces.remove("task")
    assert not folder.exists()


def test_names_that_are_not_text_are_removed(workspaces: Workspaces) -> None:
    folder = workspaces.create("task")
    (folder / os.fsdecode(b"\xff\n\x1b")).mkdir()
    (folder / os.fsdecode(b"\xff\n\x1b") / os.fsdecode(b"\xfe")).touch()
    workspaces.remove("task")
    assert not folder.exists()


def test_many_files_are_removed(workspaces: Workspaces) -> None:
    folder = workspaces.create("task")
    for number in range(5000):
        (folder / f"{number}").touch()
    workspaces.remove("task")
    assert not folder.exists()


def delete_what_can_be(folder: Path) -> None:
    with suppress(OSError):
        delete_tree(folder)


def symlink_to_a_folder(link: Path, outside: Path) -> None:
    link.symlink_to(outside)


def hard_link_to_a_file(link: Path, outside: Path) -> None:
    link.hardlink_to(outside / "file")


@pytest.mark.parametrize("lure", [symlink_to_a_folder, hard_link_to_a_file])
def test_a_folder_swapped_for_a_link_at_any_moment_leads_nowhere(
    tmp_path: Path, lure: Callable[[Path, Path], None]
) -> None:
    outside, doomed, link = tmp_path / "outside", tmp_path / "doomed", tmp_path / "link"
    outside.mkdir()
    (outside / "file").write_bytes(b"x")
    (outside / "file").chmod(0o400)
    outside.chmod(0o500)

    def prepare() -> Callable[[], object]:
        delete_tree(doomed)
        delete_tree(link)
        (doomed / "a" / "b").mkdir(parents=True)
        (doomed / "a" / "b" / "file").touch()
        lure(link, outside)
        return swapping(doomed / "a", link)

    for _ in every_moment(prepare, partial(delete_what_can_be, doomed)):
        assert tree(outside) == {"file": b"x"}
        assert [path.stat().st_mode & 0o777 for path in (outside, outside / "file")] == [0o500, 0o400]


@pytest.mark.parametrize("moved", ["a", "b", "c"])  # whichever comes last has nothing left to be led to
def test_a_folder_moved_outside_at_any_moment_leads_nowhere(tmp_path: Path, moved: str) -> None:
    outside, doomed = tmp_path / "outside", tmp_path / "doomed"
    for name in {"a", "b", "c"} - {moved}:
        (outside / name).mkdir(parents=True)
        (outside / name / "file").write_bytes(b"x")
    before = tree(outside)

    def prepare() -> Callable[[], object]:
        delete_tree(doomed)
        for name in "abc":
            (doomed / name / "deep").mkdir(parents=True)
        return partial(os.rename, doomed / moved, outside / moved)

    for _ in every_moment(prepare, partial(delete_what_can_be, doomed)):
        delete_tree(outside / moved)
        assert tree(outside) == before
