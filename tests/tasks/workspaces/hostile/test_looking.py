"""A look at a repository that is out to make the server wait for ever, or fill its memory."""

import os
from pathlib import Path

import anyio
import pytest

from server.errors import RemitError
from server.runner.git.alternates import ALTERNATES_BYTES, Unreadable, folders_of_objects
from server.runner.git.repository import SHALLOW_BYTES, find_repository
from tests.runner.commands import processes_with
from tests.tasks.workspaces.projects import git, repository

HANGING = ("HEAD", "config", "packed-refs", "objects/info/alternates", "refs/heads/main")


def replaced(project: Path, name: str) -> Path:
    """Return the place of a file of git's own, free for something else."""
    path = project / ".git" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return path


@pytest.mark.parametrize("name", HANGING)
async def test_a_look_that_hangs_ends_at_once_when_it_is_cancelled(tmp_path: Path, name: str) -> None:
    project = repository(tmp_path / "project")
    os.mkfifo(replaced(project, name))
    with anyio.move_on_after(1) as scope:
        await find_repository(project)
    assert (scope.cancelled_caught, anyio.current_time() - scope.deadline < 1) == (True, True)
    assert not processes_with(str(project))


@pytest.mark.parametrize("name", ["objects/info/alternates", "refs/heads/main"])
async def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path, name: str) -> None:
    project = repository(tmp_path / "project")
    replaced(project, name).symlink_to("/dev/zero")
    with anyio.fail_after(20), pytest.raises(RemitError):
        await find_repository(project)


@pytest.mark.parametrize("kind", ["fifo", "link", "large"])
def test_what_is_borrowed_from_is_told_by_a_regular_file_of_some_size(tmp_path: Path, kind: str) -> None:
    named = tmp_path / "info" / "alternates"
    named.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(named)
    elif kind == "link":
        named.symlink_to("/dev/zero")
    else:
        named.touch()
        os.truncate(named, ALTERNATES_BYTES + 1)
    with pytest.raises(Unreadable, match="objects cannot be read"):
        folders_of_objects(tmp_path)


@pytest.mark.parametrize("line", ['"{0}"', '# a comment\n"{0}"', '"{0}"\n/nowhere', "/nowhere/at/all\n{0}"])
async def test_what_is_borrowed_from_is_read_as_git_reads_it(tmp_path: Path, line: str) -> None:
    lent, project = repository(tmp_path / 'with "quotes" é'), repository(tmp_path / "project")
    objects = lent / ".git/objects"
    quoted = str(objects).replace('"', '\\"').replace("é", r"\303\251") if '"{0}' in line else str(objects)
    replaced(project, "objects/info/alternates").write_text(line.format(quoted) + "\n")
    git(lent, "commit", "-q", "--allow-empty", "-m", "only there")
    assert git(project, "cat-file", "-t", git(lent, "rev-parse", "HEAD").strip()) == "commit\n"
    found = await find_repository(project)
    assert found
    assert found.objects == (str(project / ".git/objects"), str(objects))
    found.check_place()


async def test_a_history_that_is_cut_off_at_no_end_of_places_is_not_copied(tmp_path: Path) -> None:
    project, target = repository(tmp_path / "project"), tmp_path / "target"
    found = await find_repository(project)
    assert found
    target.mkdir()
    (project / ".git/shallow").touch()
    os.truncate(project / ".git/shallow", SHALLOW_BYTES + 1)
    with pytest.raises(RemitError, match="is larger than"):
        found.copy_shallow(target)
    assert list(target.iterdir()) == []
