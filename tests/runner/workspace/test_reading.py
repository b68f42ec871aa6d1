"""Reading what an agent left in its workspace."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from server.errors import Code, RemitError
from server.runner.filesystem.safe_open import identity, open_beneath, read_beneath

from .adversary import finished, repeating, swapping, within_deadline

SECRET = b"not for the agent"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace, with a secret beside it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(SECRET)
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


def lure_by_symlink(folder: Path, outside: Path) -> str:
    (folder / "link").symlink_to(outside / "file")
    return "link"


def lure_by_relative_symlink(folder: Path, outside: Path) -> str:
    (folder / "link").symlink_to("../outside/file")
    return "link"


def lure_by_symlinked_folder(folder: Path, outside: Path) -> str:
    (folder / "sub").mkdir()
    (folder / "sub" / "link").symlink_to(outside)
    return "sub/link/file"


def lure_by_process_link(folder: Path, outside: Path) -> str:
    (folder / "link").symlink_to("/proc/self/cwd")
    return f"link/{os.path.relpath(outside / 'file')}"


def lure_by_hard_link(folder: Path, outside: Path) -> str:
    (folder / "twin").hardlink_to(outside / "file")
    return "twin"


def lure_by_dots(folder: Path, outside: Path) -> str:
    return "../outside/file"


def lure_by_dots_in_the_middle(folder: Path, outside: Path) -> str:
    (folder / "sub").mkdir()
    return "sub/../../outside/file"


def lure_by_absolute_path(folder: Path, outside: Path) -> str:
    return str(outside / "file")


LURES = [value for name, value in globals().items() if name.startswith("lure_by_")]


@pytest.mark.parametrize("lure", LURES)
def test_what_leads_a_plain_open_outside_is_refused(folder: Path, lure: Callable[[Path, Path], str]) -> None:
    name = lure(folder, folder.parent / "outside")
    assert (folder / name).read_bytes() == SECRET

    with pytest.raises(RemitError) as refusal:
        read_beneath(folder, name, limit=100)
    assert refusal.value.code is Code.VALIDATION_ERROR


def test_a_folder_swapped_for_a_symlink_while_it_is_read_leads_nowhere(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "file").write_bytes(b"own")
    (folder / "link").symlink_to(folder.parent / "outside")
    fooled, read = 0, []
    with repeating(swapping(folder / "sub", folder / "link")):
        for _ in within_deadline():
            with suppress(OSError):
                fooled += (folder / "sub" / "file").read_bytes() == SECRET
            with suppress(RemitError):
                read.append(read_beneath(folder, "sub/file", limit=100))
            if fooled >= 50 and len(read) >= 50:
                break
    assert set(read) == {b"own"}


def test_a_file_swapped_for_a_symlink_while_it_is_read_leads_nowhere(folder: Path) -> None:
    (folder / "file").write_bytes(b"own")
    (folder / "link").symlink_to(folder.parent / "outside" / "file")
    fooled, read = 0, []
    with repeating(swapping(folder / "file", folder / "link")):
        for _ in within_deadline():
            with suppress(OSError):
                fooled += (folder / "file").read_bytes() == SECRET
            with suppress(RemitError):
                read.append(read_beneath(folder, "file", limit=100))
            if fooled >= 50 and len(read) >= 50:
                break
    assert set(read) == {b"own"}


def test_a_folder_moved_about_while_it_is_read_gives_its_own_file_or_none(folder: Path) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_bytes(b"own")
    (folder / "file").write_bytes(b"another")
    read, missed = [], 0

    def move() -> None:
        (folder / "a" / "b").rename(folder / "b")
        (folder / "b").rename(folder / "a" / "b")

    with repeating(move):
        for _ in within_deadline():
            try:
                read.append(read_beneath(folder, "a/b/file", limit=100))
            except RemitError as error:
                missed += error.code is Code.NOT_FOUND
            if missed >= 20 and len(read) >= 20:
                break
    assert set(read) == {b"own"}


def test_a_fifo_is_refused_without_waiting_for_a_writer(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    assert finished(lambda: read_beneath(folder, "fifo", limit=1))
    with pytest.raises(RemitError, match="regular file"):
        read_beneath(folder, "fifo", limit=1)


def test_a_fifo_in_the_place_of_a_folder_is_refused_without_waiting(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    assert finished(lambda: read_beneath(folder, "fifo/file", limit=1))
    with pytest.raises(RemitError, match="not a folder"):
        read_beneath(folder, "fifo/file", limit=1)


def test_a_fifo_is_not_even_opened(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    with suppress(RemitError):
        os.close(open_beneath(folder, "fifo"))
    with pytest.raises(OSError, match="No such device"):  # a writer that does not wait finds nobody at the other end
        os.open(folder / "fifo", os.O_WRONLY | os.O_NONBLOCK)


def test_a_device_is_refused() -> None:
    with pytest.raises(RemitError, match="regular file"):
        open_beneath(Path("/dev"), "zero")


def test_a_socket_is_refused(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        with pytest.raises(RemitError, match="regular file"):
            open_beneath(folder, "socket")


def test_a_folder_is_refused(folder: Path) -> None:
    (folder / "sub").mkdir()
    with pytest.raises(RemitError, match="regular file"):
        open_beneath(folder, "sub")


def test_a_file_that_another_program_holds_a_lease_on_does_not_hold_us_up(folder: Path) -> None:
    (folder / "file").write_bytes(b"held")
    with leased(folder / "file"):
        assert finished(lambda: read_beneath(folder, "file", limit=1))
        with pytest.raises(RemitError, match="held by another program"):
            read_beneath(folder, "file", limit=1)


@contextmanager
def leased(path: Path) -> Iterator[None]:
    """Yield a program that has the kernel ask it before anybody else may open the file."""
    script = (
        "import fcntl, os, signal, sys; signal.signal(signal.SIGIO, signal.SIG_IGN);"
        "fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR), fcntl.F_SETLEASE, fcntl.F_WRLCK);"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-I", "-S", "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"held\n"
        yield


def test_a_file_that_its_owner_may_not_read_is_refused(unprivileged: Path) -> None:
    (unprivileged / "file").touch(mode=0)
    with pytest.raises(RemitError, match="may not be read") as refusal:
        open_beneath(unprivileged, "file")
    assert refusal.value.code is Code.VALIDATION_ERROR


@pytest.mark.parametrize("name", ["missing", "missing/file", "sub/missing"])
def test_a_missing_file_is_not_found(folder: Path, name: str) -> None:
    (folder / "sub").mkdir()
    with pytest.raises(RemitError) as refusal:
        open_beneath(folder, name)
    assert refusal.value.code is Code.NOT_FOUND
    assert repr(name) in refusal.value.message


@pytest.mark.parametrize("name", ["", "/", ".", "..", "a/", "a//b", "./a", "a/.", "a\0b", "\ud800", "x" * 256])
def test_a_name_that_cannot_be_a_file_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(RemitError) as refusal:
        open_beneath(folder, name)
    assert refusal.value.code is Code.VALIDATION_ERROR
    assert repr(name) in refusal.value.message


def test_a_refusal_leaves_no_descriptor_open(folder: Path) -> None:
    (folder / "file").touch()
    (folder / "twin").hardlink_to(folder / "file")
    before = os.listdir("/proc/self/fd")
    for name in ("twin", "missing/file", "file/file"):
        with suppress(RemitError):
            open_beneath(folder, name)
    assert os.listdir("/proc/self/fd") == before


def test_a_name_that_is_not_text_can_be_read(folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (folder / name).write_bytes(b"coffee")
    assert read_beneath(folder, name, limit=100) == b"coffee"


def test_a_part_of_a_file_is_read(folder: Path) -> None:
    (folder / "file").write_bytes(b"0123456789")
    assert read_beneath(folder, "file", offset=3, limit=4) == b"3456"


def test_reading_ends_where_the_file_does(folder: Path) -> None:
    (folder / "file").write_bytes(b"0123456789")
    assert read_beneath(folder, "file", offset=8, limit=100) == b"89"


def test_more_than_one_chunk_is_read_whole(folder: Path) -> None:
    content = os.urandom(3 * 1024**2 + 1)
    (folder / "file").write_bytes(content)
    assert read_beneath(folder, "file", limit=len(content)) == content


def test_a_huge_file_is_read_no_further_than_the_limit(folder: Path) -> None:
    (folder / "file").touch()
    os.truncate(folder / "file", 1024**4)
    assert read_beneath(folder, "file", offset=1024**3, limit=10) == bytes(10)


def test_a_folder_beneath_one_that_may_only_be_entered_is_known(unprivileged: Path) -> None:
    folder = unprivileged / "entered" / "project"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o311)
    status = folder.stat()
    assert identity(folder) == (status.st_dev, status.st_ino)
    folder.parent.chmod(0o700)
