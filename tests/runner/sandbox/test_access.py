"""A workspace that is only read, in each tier that confines; and one that is a person's own."""

from pathlib import Path
from typing import Any

import pytest

from server.errors import RemitError
from server.limits import MIB
from server.runner import sandbox
from server.tier_names import TierName
from tests.runner.commands import Request, run

WRITES = (
    "echo x > new",
    "echo x >> file",
    "mkdir folder",
    "rm file",
    "mv file other",
    "ln file other",
    "ln -s file other",
    "mkfifo fifo",
    "truncate -s 0 file",
    "rmdir empty",
)


@pytest.fixture
def filled(workspace: Path) -> Path:
    """A folder with a file and a folder in it, which anybody may write."""
    (workspace / "file").write_text("mine\n")
    (workspace / "empty").mkdir()
    for path in workspace.iterdir():
        path.chmod(0o777)
    return workspace


def times(folder: Path) -> dict[str, int]:
    """When each was written last."""
    return {path.name: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())}


def script(*commands: str) -> tuple[str, ...]:
    """Return a script that tries each operation, and prints the number of each that could be done."""
    tries = "; ".join(f"({command}) 2>/dev/null && echo {number}" for number, command in enumerate(commands))
    return ("/bin/sh", "-c", f"{tries}; true")


@pytest.mark.parametrize("write", WRITES)
async def test_without_a_limit_on_access_each_way_of_writing_is_open(
    confining: TierName, filled: Path, write: str
) -> None:
    ran = await run(Request(tier=confining, argv=script(write), workspace=str(filled)))
    assert (ran.status, ran.output) == (0, "0\n")


async def test_a_workspace_that_is_only_read_is_written_in_no_way(confining: TierName, filled: Path) -> None:
    before = times(filled)
    ran = await run(Request(tier=confining, argv=script(*WRITES), workspace=str(filled), access="read-only"))
    assert (ran.status, ran.output) == (0, "")
    assert times(filled) == before


async def test_it_can_be_read_and_home_and_temporary_folders_can_be_written(confining: TierName, filled: Path) -> None:
    commands = ("cat file", "echo x > ~/x", 'echo x > "$TMPDIR/x"')
    ran = await run(Request(tier=confining, argv=script(*commands), workspace=str(filled), access="read-only"))
    assert ran.output == "mine\n0\n1\n2\n"


@pytest.mark.namespaces
async def test_nothing_stands_in_for_protected_files_where_nothing_can_be_written(filled: Path) -> None:
    argv = ("/bin/sh", "-c", "ls -A")
    ran = await run(Request(tier="namespaces", argv=argv, workspace=str(filled), access="read-only", owner="user"))
    assert ran.output == "empty\nfile\n"


async def test_a_persons_folder_is_not_measured(tier: TierName, filled: Path) -> None:
    (filled / "large").write_bytes(bytes(4 * MIB))
    for owner, limit in (("task", True), ("user", False)):
        request = Request(
            tier=tier,
            argv=("/bin/sleep", "2.2"),
            workspace=str(filled),
            owner="user" if owner == "user" else "task",
            limits={"workspace_bytes": MIB},
        )
        assert bool((await run(request)).limit) is limit


@pytest.fixture
def given(filled: Path) -> Path:
    """Beside it, with a folder that is given to commands to be read."""
    inner = filled.with_name("given") / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_text("its own\n")
    return inner.parent


@pytest.mark.parametrize("changed", ["given/inner", "given"])
async def test_a_folder_that_was_replaced_by_a_link_is_not_given(
    confining: TierName, filled: Path, given: Path, changed: str
) -> None:
    inner = str(given / "inner")

    async def shown(*pinned: str) -> str:
        command = ("cat", f"{inner}/file")
        given = Request(tier=confining, argv=command, workspace=str(filled), readable=(inner,), pinned=pinned)
        return (await run(given)).output

    assert await shown(inner) == "its own\n"
    place, other = filled.parent / changed, filled.with_name("other")
    place.rename(filled.with_name("moved"))
    other.mkdir()
    (other / "inner").symlink_to(filled)
    place.symlink_to(other if changed == "given" else filled)
    assert await shown() == "mine\n"
    with pytest.raises((RemitError, AssertionError), match="leads elsewhere by now"):
        await shown(inner)


@pytest.mark.namespaces
async def test_a_folder_that_was_put_back_after_another_was_mounted_is_not_given(
    filled: Path, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, moved = given / "inner", given / "moved"
    inner.rename(moved)
    inner.symlink_to(filled)
    first_line = sandbox._first_line

    async def put_back(*arguments: Any) -> str:
        word = await first_line(*arguments)
        inner.unlink()
        moved.rename(inner)
        return word

    monkeypatch.setattr(sandbox, "_first_line", put_back)
    path = str(inner)
    asked = Request(
        tier="namespaces", argv=("cat", f"{path}/file"), workspace=str(filled), readable=(path,), pinned=(path,)
    )
    with pytest.raises(RemitError, match="leads elsewhere by now"):
        await run(asked)
