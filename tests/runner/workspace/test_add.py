"""Adding to a workspace that an agent has worked in."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from server.errors import Code, RemitError
from server.runner.workspace.upload import Upload
from server.runner.workspace.workspaces import Workspaces

from .adversary import every_moment, swapping, tree


@pytest.fixture
def uploads(workspaces: Workspaces) -> Path:
    """The `uploads/` of a task with two files in it."""
    folder = workspaces.create("task", [Upload("a.txt", b"a"), Upload("sub/b.txt", b"b")])
    workspaces.keep("task")
    return folder / "uploads"


def conflict_of(act: Callable[[], object]) -> RemitError:
    """Return the conflict that it ends in."""
    with pytest.raises(RemitError) as refusal:
        act()
    assert refusal.value.code is Code.CONFLICT
    return refusal.value


def test_files_come_beside_what_is_there(workspaces: Workspaces, uploads: Path) -> None:
    workspaces.add("task", [Upload("c.txt", b"c"), Upload("sub/d.txt", b"d"), Upload("e/f/g.txt", b"g")])
    assert tree(uploads) == {
        "a.txt": b"a",
        "c.txt": b"c",
        "e": None,
        "e/f": None,
        "e/f/g.txt": b"g",
        "sub": None,
        "sub/b.txt": b"b",
        "sub/d.txt": b"d",
    }


def test_the_names_are_told_relative_to_the_workspace(workspaces: Workspaces, uploads: Path) -> None:
    assert workspaces.add("task", [Upload("c", b""), Upload("d/e", b"")]) == ["uploads/c", "uploads/d/e"]


def test_several_files_share_a_new_folder(workspaces: Workspaces, uploads: Path) -> None:
    workspaces.add("task", [Upload("new/a", b"1"), Upload("new/b", b"2"), Upload("new/c/d", b"3")])
    assert tree(uploads / "new") == {"a": b"1", "b": b"2", "c": None, "c/d": b"3"}


def test_a_file_of_the_same_name_is_replaced(workspaces: Workspaces, uploads: Path) -> None:
    workspaces.add("task", [Upload("a.txt", b"new")])
    assert tree(uploads)["a.txt"] == b"new"


def test_who_holds_the_replaced_file_keeps_the_old_one(workspaces: Workspaces, uploads: Path) -> None:
    with (uploads / "a.txt").open("rb") as held:
        workspaces.add("task", [Upload("a.txt", b"new")])
        assert held.read() == b"a"


def test_a_symlink_of_the_same_name_is_replaced_and_not_written_through(
    workspaces: Workspaces, uploads: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_bytes(b"untouched")
    (uploads / "c").symlink_to(tmp_path / "outside")
    workspaces.add("task", [Upload("c", b"new")])
    assert (tree(uploads)["c"], (tmp_path / "outside").read_bytes()) == (b"new", b"untouched")


def test_a_hard_link_of_the_same_name_is_replaced_and_not_written_through(
    workspaces: Workspaces, uploads: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_bytes(b"untouched")
    (uploads / "c").hardlink_to(tmp_path / "outside")
    workspaces.add("task", [Upload("c", b"new")])
    assert (tree(uploads)["c"], (tmp_path / "outside").read_bytes()) == (b"new", b"untouched")


def test_a_fifo_of_the_same_name_is_replaced(workspaces: Workspaces, uploads: Path) -> None:
    os.mkfifo(uploads / "c")
    workspaces.add("task", [Upload("c", b"new")])
    assert tree(uploads)["c"] == b"new"


def test_a_symlink_in_the_place_of_a_folder_is_not_followed(
    workspaces: Workspaces, uploads: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (uploads / "c").symlink_to(tmp_path / "outside")
    error = conflict_of(lambda: workspaces.add("task", [Upload("c/d", b"new")]))
    assert error.details == {"field": "files[0].path"}
    assert tree(tmp_path / "outside") == {}


def test_a_symlink_in_the_place_of_uploads_is_not_followed(
    workspaces: Workspaces, uploads: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    shutil.rmtree(uploads)
    uploads.symlink_to(tmp_path / "outside")
    conflict_of(lambda: workspaces.add("task", [Upload("c", b"new")]))
    assert tree(tmp_path / "outside") == {}


def test_a_folder_swapped_for_a_symlink_at_any_moment_leads_nowhere(workspaces: Workspaces, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    def prepare() -> Callable[[], object]:
        workspaces.remove("task")
        folder = workspaces.create("task", [Upload("sub/a", b"a")])
        workspaces.keep("task")
        (folder / "link").symlink_to(outside)
        return swapping(folder / "uploads" / "sub", folder / "link")

    def attempt() -> None:
        with suppress(RemitError):
            workspaces.add("task", [Upload("sub/a", b"new"), Upload("sub/b/c", b"new")])

    for _ in every_moment(prepare, attempt):
        assert tree(outside) == {}
        assert os.listdir(workspaces.path("task").parent) == ["task"]


def test_a_missing_uploads_folder_is_made_again(workspaces: Workspaces, uploads: Path) -> None:
    shutil.rmtree(uploads)
    workspaces.add("task", [Upload("c", b"new")])
    assert tree(uploads) == {"c": b"new"}


def test_a_folder_is_not_replaced_by_a_file(workspaces: Workspaces, uploads: Path) -> None:
    error = conflict_of(lambda: workspaces.add("task", [Upload("sub", b"new")]))
    assert error.details == {"field": "files[0].path"}
    assert tree(uploads)["sub/b.txt"] == b"b"


def test_a_file_is_not_replaced_by_a_folder(workspaces: Workspaces, uploads: Path) -> None:
    conflict_of(lambda: workspaces.add("task", [Upload("a.txt/c", b"new")]))
    assert tree(uploads)["a.txt"] == b"a"


def test_a_folder_that_nobody_may_write_to_is_a_conflict(unprivileged: Path) -> None:
    workspaces = Workspaces(unprivileged / "workspaces")
    uploads = workspaces.create("task") / "uploads"
    uploads.chmod(0o500)
    error = conflict_of(lambda: workspaces.add("task", [Upload("c", b"new")]))
    assert "Permission denied" in error.message


def test_when_one_file_is_refused_none_is_added(workspaces: Workspaces, uploads: Path, tmp_path: Path) -> None:
    (uploads / "link").symlink_to("nowhere")
    before = tree(tmp_path)
    new = [Upload("a.txt", b"new"), Upload("link", b"new"), Upload("x/y/z", b"new"), Upload("x/w", b"new")]
    error = conflict_of(lambda: workspaces.add("task", [*new, Upload("sub", b"new")]))
    assert error.details == {"field": "files[4].path"}
    assert tree(tmp_path) == before


def test_when_one_source_is_refused_none_is_added(
    workspaces: Workspaces, uploads: Path, project: Path, tmp_path: Path
) -> None:
    before = tree(tmp_path)
    with pytest.raises(RemitError, match=r"files\[1\]\.source"):
        workspaces.add("task", [Upload("a.txt", b"new"), Upload("c", source=Path("none"))], source_root=project)
    assert tree(tmp_path) == before


def test_nothing_stays_beside_the_workspace(workspaces: Workspaces, uploads: Path, state: Path) -> None:
    workspaces.add("task", [Upload("a.txt", b"new"), Upload("x/y", b"new")])
    assert os.listdir(state / "workspaces") == ["task"]


def test_names_are_checked_as_for_a_new_workspace(workspaces: Workspaces, uploads: Path) -> None:
    with pytest.raises(RemitError) as refusal:
        workspaces.add("task", [Upload("../c", b"new")])
    assert refusal.value.details == {"field": "files[0].path"}


def test_a_task_without_a_workspace_is_not_found(workspaces: Workspaces) -> None:
    with pytest.raises(RemitError) as refusal:
        workspaces.add("task", [Upload("a", b"")])
    assert refusal.value.code is Code.NOT_FOUND


def test_added_files_are_on_disk_before_it_returns(
    workspaces: Workspaces, uploads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    fsync = os.fsync

    def watched(fd: int) -> None:
        synced.add(os.fstat(fd).st_ino)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", watched)
    workspaces.add("task", [Upload("sub/c", b"c"), Upload("new/d", b"d")])
    changed = [uploads, uploads / "sub", uploads / "sub" / "c", uploads / "new", uploads / "new" / "d"]
    assert {path.stat().st_ino for path in changed} <= synced
