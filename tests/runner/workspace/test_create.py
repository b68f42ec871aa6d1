"""Making a workspace."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from server.errors import Code, RemitError
from server.limits import MAX_FILES, MAX_INLINE_BYTES
from server.runner.workspace.upload import MAX_FILE_BYTES, Upload
from server.runner.workspace.workspaces import Workspaces

from .adversary import every_moment, tree


def test_a_workspace_has_an_empty_uploads_folder(workspaces: Workspaces) -> None:
    assert tree(workspaces.create("task")) == {"uploads": None}


def test_content_lies_where_it_was_meant_to(workspaces: Workspaces) -> None:
    folder = workspaces.create("task", [Upload("a/b/c.txt", b"c"), Upload("a/d.txt", b""), Upload("é .txt", b"e")])
    assert tree(folder / "uploads") == {
        "a": None,
        "a/b": None,
        "a/b/c.txt": b"c",
        "a/d.txt": b"",
        "é .txt": b"e",
    }


def test_nobody_else_may_look_in(workspaces: Workspaces, state: Path) -> None:
    workspaces.create("task", [Upload("a/b", b"")])
    for path in [state / "workspaces", *(state / "workspaces").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_an_open_root_is_closed_to_others(state: Path) -> None:
    (state / "workspaces").mkdir(mode=0o777)
    Workspaces(state / "workspaces")
    assert stat.S_IMODE((state / "workspaces").stat().st_mode) == 0o700


def test_everything_is_on_disk_before_it_returns(workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[int] = set()
    fsync = os.fsync

    def watched(fd: int) -> None:
        synced.add(os.fstat(fd).st_ino)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", watched)
    folder = workspaces.create("task", [Upload("a/b/c", b"c")])
    made = [folder.parent, folder, *folder.rglob("*")]
    assert len(made) == 6
    assert {path.stat().st_ino for path in made} <= synced


@pytest.mark.long
def test_a_workspace_is_complete_from_the_moment_it_is_seen(workspaces: Workspaces, state: Path) -> None:
    seen: set[int] = set()

    def look() -> None:
        seen.update(len(tree(folder)) for folder in (state / "workspaces").glob("[!.]*"))

    def prepare() -> Callable[[], object]:
        workspaces.remove("task")
        return look

    uploads = [Upload(name, b"x") for name in "abc"]
    for _ in every_moment(prepare, lambda: workspaces.create("task", uploads)):
        assert seen <= {4}
    assert seen == {4}


def test_a_second_workspace_for_one_task_is_refused(workspaces: Workspaces) -> None:
    folder = workspaces.create("task", [Upload("a", b"first")])
    with pytest.raises(RemitError) as refusal:
        workspaces.create("task", [Upload("a", b"second")])
    assert refusal.value.code is Code.CONFLICT
    assert tree(folder)["uploads/a"] == b"first"


@pytest.mark.parametrize("task_id", ["", ".", "..", ".hidden", "a/b", "../outside", "a\0", "a\n", "x" * 129])
def test_what_cannot_be_the_id_of_a_task_is_no_task(workspaces: Workspaces, task_id: str) -> None:
    with pytest.raises(RemitError) as refusal:
        workspaces.create(task_id)
    assert refusal.value.code is Code.NOT_FOUND


def test_too_many_files_are_refused(workspaces: Workspaces) -> None:
    with pytest.raises(RemitError, match="at most 20 files") as refusal:
        workspaces.create("task", [Upload(f"{number}", b"") for number in range(MAX_FILES + 1)])
    assert refusal.value.code is Code.LIMIT_EXCEEDED
    assert refusal.value.details == {"field": "files", "limit": MAX_FILES}


def test_as_much_inline_content_as_allowed_is_taken(workspaces: Workspaces) -> None:
    half = bytes(MAX_INLINE_BYTES // 2)
    folder = workspaces.create("task", [Upload("a", half), Upload("b", half)])
    assert tree(folder / "uploads") == {"a": half, "b": half}


@pytest.mark.behaviour("create_task:files:inline")
def test_too_much_inline_content_in_all_is_refused(workspaces: Workspaces) -> None:
    half = bytes(MAX_INLINE_BYTES // 2)
    with pytest.raises(RemitError, match="inline") as refusal:
        workspaces.create("task", [Upload("a", half), Upload("b", half), Upload("c", b"x")])
    assert refusal.value.code is Code.LIMIT_EXCEEDED
    assert refusal.value.details == {"field": "files", "limit": MAX_INLINE_BYTES}


def test_an_upload_has_content_or_a_source() -> None:
    with pytest.raises(ValueError, match="either"):
        Upload("a")


def test_an_upload_has_not_both_content_and_a_source() -> None:
    with pytest.raises(ValueError, match="either"):
        Upload("a", b"content", Path("source"))


def test_content_does_not_show_in_a_log() -> None:
    assert "hunter2" not in repr(Upload("a", b"hunter2"))


def test_a_failure_leaves_nothing_behind(workspaces: Workspaces, state: Path, project: Path) -> None:
    with pytest.raises(RemitError):
        workspaces.create("task", [Upload("a/b", b"x"), Upload("c", source=Path("none"))], source_root=project)
    assert tree(state) == {"homes": None, "workspaces": None}


def test_a_failing_disk_leaves_nothing_behind(
    workspaces: Workspaces, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = (state / "workspaces").stat().st_ino
    fsync = os.fsync

    def failing(fd: int) -> None:
        if os.fstat(fd).st_ino == root:
            raise OSError("the disk is gone")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="the disk is gone"):
        workspaces.create("task", [Upload("a", b"x")])
    assert tree(state) == {"homes": None, "workspaces": None}


def test_the_limits_are_those_of_the_tool() -> None:
    assert (MAX_FILES, MAX_FILE_BYTES, MAX_INLINE_BYTES) == (20, 52_428_800, 8_388_608)


def test_a_task_without_uploads_gets_its_workspace_when_it_is_needed(workspaces: Workspaces) -> None:
    workspace = workspaces.ensure("task")
    assert (workspace / "uploads").is_dir()
    (workspace / "made").touch()
    assert workspaces.ensure("task") == workspace
    assert (workspace / "made").exists()
