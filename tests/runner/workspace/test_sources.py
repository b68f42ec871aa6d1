"""Uploads that name a file of the person's."""

import os
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from server.errors import Code, RemitError
from server.runner.workspace import upload
from server.runner.workspace.upload import MAX_FILE_BYTES, Upload
from server.runner.workspace.workspaces import Workspaces

from .adversary import every_moment, finished, swapping, tree


def refusal_of(act: Callable[[], object]) -> RemitError:
    """Return the refusal that it ends in, which must name the source as the field at fault."""
    with pytest.raises(RemitError) as refusal:
        act()
    assert refusal.value.details["field"] == "files[0].source"
    assert refusal.value.message.startswith("files[0].source: ")
    return refusal.value


@pytest.mark.parametrize("absolute", [False, True])
def test_a_source_is_copied(workspaces: Workspaces, project: Path, absolute: bool) -> None:
    (project / "data").mkdir()
    (project / "data" / "in.csv").write_bytes(b"1,2")
    source = project / "data" / "in.csv" if absolute else Path("data/in.csv")
    folder = workspaces.create("task", [Upload("copy.csv", source=source)], source_root=project)
    assert tree(folder / "uploads") == {"copy.csv": b"1,2"}


def test_a_source_with_several_hard_links_is_copied(workspaces: Workspaces, project: Path) -> None:
    (project / "a").write_bytes(b"x")
    (project / "b").hardlink_to(project / "a")
    folder = workspaces.create("task", [Upload("b", source=Path("b"))], source_root=project)
    assert tree(folder / "uploads") == {"b": b"x"}


def test_a_copy_is_no_second_name_of_the_source(workspaces: Workspaces, project: Path) -> None:
    (project / "a").write_bytes(b"x")
    folder = workspaces.create("task", [Upload("a", source=Path("a"))], source_root=project)
    assert (folder / "uploads" / "a").stat().st_nlink == 1


@pytest.mark.parametrize("source", ["../beside", "sub/../../beside", "/etc/passwd", "link", "linked/beside", "."])
def test_a_source_outside_the_folder_is_refused(workspaces: Workspaces, project: Path, source: str) -> None:
    (project.parent / "beside").write_bytes(b"x")
    (project / "sub").mkdir()
    (project / "link").symlink_to(project.parent / "beside")
    (project / "linked").symlink_to(project.parent)
    error = refusal_of(lambda: workspaces.create("task", [Upload("a", source=Path(source))], source_root=project))
    assert error.code is Code.VALIDATION_ERROR


def test_a_symlink_within_the_folder_is_not_followed_either(workspaces: Workspaces, project: Path) -> None:
    (project / "a").write_bytes(b"x")
    (project / "link").symlink_to("a")
    error = refusal_of(lambda: workspaces.create("task", [Upload("a", source=Path("link"))], source_root=project))
    assert "symlinks" in error.message


def test_a_missing_source_is_refused(workspaces: Workspaces, project: Path) -> None:
    error = refusal_of(lambda: workspaces.create("task", [Upload("a", source=Path("b"))], source_root=project))
    assert error.code is Code.VALIDATION_ERROR
    assert "does not exist" in error.message


def test_a_folder_that_leads_through_a_symlink_is_the_folder_it_leads_to(workspaces: Workspaces, project: Path) -> None:
    (project / "a").write_bytes(b"x")
    link = project.parent / "link"
    link.symlink_to(project)
    folder = workspaces.create("task", [Upload("a", source=Path("a"))], source_root=link)
    assert tree(folder / "uploads") == {"a": b"x"}


def test_without_a_folder_no_source_can_be_named(workspaces: Workspaces) -> None:
    error = refusal_of(lambda: workspaces.create("task", [Upload("a", source=Path("/etc/hostname"))]))
    assert error.code is Code.VALIDATION_ERROR
    assert "send the content" in error.message


def test_without_a_folder_content_is_taken(workspaces: Workspaces) -> None:
    assert tree(workspaces.create("task", [Upload("a", b"x")], source_root=None)) == {
        "uploads": None,
        "uploads/a": b"x",
    }


@pytest.mark.parametrize("above", [".", "..", "../..", "/"])
def test_a_home_and_the_folders_above_it_are_too_wide(
    workspaces: Workspaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, above: str
) -> None:
    home = tmp_path / "homes" / "somebody"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    folder = home / above
    (tmp_path / "key").write_bytes(b"x")
    error = refusal_of(lambda: workspaces.create("task", [Upload("a", source=(tmp_path / "key"))], source_root=folder))
    assert "project" in error.message


def test_a_folder_in_the_home_is_not_too_wide(
    workspaces: Workspaces, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(project.parent))
    (project / "a").write_bytes(b"x")
    folder = workspaces.create("task", [Upload("a", source=Path("a"))], source_root=project)
    assert tree(folder / "uploads") == {"a": b"x"}


def test_a_folder_of_ours_is_no_source(workspaces: Workspaces) -> None:
    other = workspaces.create("other", [Upload("a", b"x")])
    error = refusal_of(lambda: workspaces.create("task", [Upload("a", source=Path("uploads/a"))], source_root=other))
    assert error.code is Code.VALIDATION_ERROR


def test_our_own_files_beneath_the_folder_are_no_sources(workspaces: Workspaces, state: Path) -> None:
    (state / "remit.db").write_bytes(b"x")
    source = Path(state.name) / "remit.db"
    error = refusal_of(lambda: workspaces.create("task", [Upload("a", source=source)], source_root=state.parent))
    assert error.code is Code.VALIDATION_ERROR


def test_a_device_is_no_source(workspaces: Workspaces) -> None:
    error = refusal_of(lambda: workspaces.create("task", [Upload("a", source=Path("zero"))], source_root=Path("/dev")))
    assert "regular file" in error.message


def test_a_fifo_is_no_source_and_is_not_waited_for(workspaces: Workspaces, project: Path) -> None:
    os.mkfifo(project / "fifo")
    uploads = [Upload("a", source=Path("fifo"))]
    assert finished(lambda: workspaces.create("task", uploads, source_root=project))
    assert "regular file" in refusal_of(lambda: workspaces.create("task", uploads, source_root=project)).message


@pytest.mark.behaviour("create_task:files:50_mb")
def test_a_source_of_the_greatest_size_is_copied_without_being_held_in_memory(
    workspaces: Workspaces, project: Path
) -> None:
    (project / "big").touch()
    os.truncate(project / "big", MAX_FILE_BYTES)
    tracemalloc.start()
    try:
        folder = workspaces.create("task", [Upload("big", source=Path("big"))], source_root=project)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (folder / "uploads" / "big").stat().st_size == MAX_FILE_BYTES
    assert peak < MAX_FILE_BYTES / 10


@pytest.mark.behaviour("create_task:files:over_50_mb")
def test_a_source_that_is_too_large_is_refused(workspaces: Workspaces, project: Path, state: Path) -> None:
    (project / "big").touch()
    os.truncate(project / "big", MAX_FILE_BYTES + 1)
    error = refusal_of(lambda: workspaces.create("task", [Upload("a", source=Path("big"))], source_root=project))
    assert error.code is Code.LIMIT_EXCEEDED
    assert error.details["limit"] == MAX_FILE_BYTES
    assert tree(state) == {"homes": None, "workspaces": None}


def test_a_source_is_counted_as_it_is_read(workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "MAX_FILE_BYTES", 100)
    assert Path("/proc/cpuinfo").stat().st_size == 0  # it has more to say than that
    error = refusal_of(
        lambda: workspaces.create("task", [Upload("a", source=Path("cpuinfo"))], source_root=Path("/proc"))
    )
    assert error.code is Code.LIMIT_EXCEEDED


def test_a_source_swapped_for_a_symlink_at_any_moment_leads_nowhere(workspaces: Workspaces, project: Path) -> None:
    outside = project.parent / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"secret")
    (project / "sub").mkdir()
    (project / "sub" / "file").write_bytes(b"own")
    (project / "link").symlink_to(outside)
    swap = swapping(project / "sub", project / "link")
    copied: set[bytes] = set()

    def prepare() -> Callable[[], object]:
        workspaces.remove("task")
        if (project / "sub").is_symlink():
            swap()
        return swap

    def attempt() -> None:
        with suppress(RemitError):
            folder = workspaces.create("task", [Upload("a", source=Path("sub/file"))], source_root=project)
            copied.add((folder / "uploads" / "a").read_bytes())

    for _ in every_moment(prepare, attempt):
        assert b"secret" not in copied
    assert copied == {b"own"}
