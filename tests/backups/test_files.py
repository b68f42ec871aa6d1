"""Names that replace nothing and second names, with hard links and without."""

import errno
import os
from pathlib import Path

import pytest

from server.backups import files


@pytest.fixture(params=["links", "none"])
def file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file, on a file system with hard links and on one without."""
    if request.param == "none":

        def link(*_: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", link)
    written = tmp_path / "written"
    written.write_text("new")
    return written


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_gets_its_name(file: Path) -> None:
    files.give_name(file, file.with_name("named"))
    assert (names(file.parent), file.with_name("named").read_text()) == (["named"], "new")


def test_a_name_that_somebody_took_meanwhile_is_left_alone(file: Path) -> None:
    taken = file.with_name("taken")
    taken.write_text("theirs")
    with pytest.raises(FileExistsError):
        files.give_name(file, taken)
    assert (names(file.parent), taken.read_text()) == (["taken", "written"], "theirs")


def test_a_name_that_cannot_be_given_is_not_reserved(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", lambda *_: full() if file.exists() else None)
    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space left"):
        files.give_name(file, file.with_name("named"))
    assert names(file.parent) == ["written"]


def test_a_file_that_is_kept_is_there_under_both_names(file: Path) -> None:
    files.keep(file, file.with_name("kept"))
    assert (names(file.parent), file.with_name("kept").read_text()) == (["kept", "written"], "new")


def test_a_copy_that_breaks_off_leaves_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlinkable(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    def failing(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", unlinkable)
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        files.keep(file, file.with_name("kept"))
    assert names(file.parent) == ["written"]
