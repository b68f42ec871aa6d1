"""Valid names of uploads."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.errors import Code, RemitError
from server.runner.workspace.upload import MAX_PART_BYTES, MAX_PATH_BYTES, Upload
from server.runner.workspace.workspaces import Workspaces

from .adversary import tree

PARTS = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\\"), min_size=1, max_size=20)
GOOD = st.lists(PARTS.filter(lambda part: part not in {".", ".."}), min_size=1, max_size=5).map("/".join)
# Names that look like paths far more often than arbitrary text does.
WILD = st.lists(st.sampled_from(["/", "..", ".", "\\", "\0", "~", "a", "\ud800"]) | st.characters()).map("".join)


@contextmanager
def fresh() -> Iterator[tuple[Workspaces, Path]]:
    """Workspaces in a state folder of their own, one per example."""
    with tempfile.TemporaryDirectory() as name:
        yield Workspaces(Path(name) / "workspaces"), Path(name)


@given(GOOD)
def test_a_good_name_is_kept_to_the_letter(path: str) -> None:
    with fresh() as (workspaces, _):
        folder = workspaces.create("task", [Upload(path, b"x")])
        assert tree(folder / "uploads")[path] == b"x"


@given(WILD)
@example("/etc/passwd")
@example("../../outside")
@example("a/../../../outside")
def test_any_name_is_refused_or_lies_beneath_uploads(path: str) -> None:
    with fresh() as (workspaces, state):
        kept = True
        try:
            workspaces.create("task", [Upload(path, b"x")])
            workspaces.keep("task")
        except RemitError:
            kept = False
        files = [name for name, content in tree(state).items() if content is not None]
        assert files == ([f"workspaces/task/uploads/{path}"] if kept else [])


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/absolute",
        ".",
        "..",
        "../up",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        "nul\0",
        "line\nbreak",
        "\x1b[31mred",
        "delete\x7f",
        "next\x85line",
        "back\\slash",
        "\ud800",
        "x" * (MAX_PART_BYTES + 1),
        "é" * 128,
        "a/" * 512 + "a",
    ],
)
def test_a_bad_name_is_refused_and_its_field_named(workspaces: Workspaces, path: str) -> None:
    with pytest.raises(RemitError) as refusal:
        workspaces.create("task", [Upload("good", b""), Upload(path, b"")])
    assert refusal.value.code is Code.VALIDATION_ERROR
    assert refusal.value.details == {"field": "files[1].path"}
    assert refusal.value.message.startswith("files[1].path: ")


def test_a_part_of_the_greatest_length_is_taken(workspaces: Workspaces) -> None:
    name = "x" * MAX_PART_BYTES
    assert tree(workspaces.create("task", [Upload(name, b"x")]) / "uploads") == {name: b"x"}


def test_the_deepest_path_that_fits_is_taken(workspaces: Workspaces) -> None:
    path = "a/" * (MAX_PATH_BYTES // 2 - 1) + "bc"
    assert len(path) == MAX_PATH_BYTES
    assert tree(workspaces.create("task", [Upload(path, b"x")]) / "uploads")[path] == b"x"


@pytest.mark.parametrize(
    ("first", "second"),
    [("a", "a"), ("a/b", "a/b"), ("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b"), ("a/b", "a/b/c/d")],
)
def test_paths_that_cannot_both_exist_are_refused(workspaces: Workspaces, first: str, second: str) -> None:
    with pytest.raises(RemitError, match=r"files\[1\]") as refusal:
        workspaces.create("task", [Upload("other", b""), Upload(first, b""), Upload(second, b"")])
    assert refusal.value.code is Code.VALIDATION_ERROR
    assert refusal.value.details == {"field": "files[2].path"}


def test_paths_that_begin_alike_do_not_clash(workspaces: Workspaces) -> None:
    folder = workspaces.create("task", [Upload("a", b"1"), Upload("ab/c", b"2"), Upload("ab/cd", b"3")])
    assert tree(folder / "uploads") == {"a": b"1", "ab": None, "ab/c": b"2", "ab/cd": b"3"}
