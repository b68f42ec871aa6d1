"""The server's own files beneath a folder of the setting `workspaces`: no task sees them, nor through a repository."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.errors import RemitError
from server.tasks.workspaces.selection import Folders
from storage.records.workspaces import RepositoryRecord, Workspace
from tests import servers
from tests.servers import Host
from tests.tasks.workspaces.projects import git, repository, shell

PRIVATE = "this server's own files"


@pytest.fixture
async def covering(own_home: Path, tmp_path: Path) -> AsyncIterator[Host]:
    """A window on a server whose tasks may be given every folder beside its state folder."""
    async with servers.host(own_home, cwd=tmp_path, REMIT_WORKSPACES=json.dumps([str(tmp_path)])) as host:
        yield host


@pytest.mark.parametrize("named", ["../state", "../state/workspaces", "..", "{there}", "../other/.git/objects"])
async def test_a_repository_that_borrows_from_it_is_refused(covering: Host, tmp_path: Path, named: str) -> None:
    """At once, by a longer way, or by another repository."""
    project, other = repository(tmp_path / "project"), repository(tmp_path / "other")
    to_state = tmp_path / "state"
    (other / ".git/objects/info/alternates").write_text(f"{to_state}\n")
    line = named.format(there=to_state).replace("..", str(tmp_path), 1)
    (project / ".git/objects/info/alternates").write_text(f"{line}\n")
    error = await covering.fail("create_task", message="$ true", workspace={"path": "project"})
    assert (error["code"], error["field"], PRIVATE in error["message"]) == (
        "VALIDATION_ERROR",
        "workspace.path",
        True,
    )


async def test_a_repository_that_lies_within_it_or_holds_it_is_refused(covering: Host, tmp_path: Path) -> None:
    shell(tmp_path, "mkdir -p project && touch project/file")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "project")
    git(tmp_path, "commit", "-qm", "first")
    linked = repository(tmp_path / "linked")
    (linked / ".git").rename(tmp_path / "state" / "git")
    (linked / ".git").write_text(f"gitdir: {tmp_path}/state/git\n")
    for name in ("project", "linked"):
        error = await covering.fail("create_task", message="$ true", workspace={"path": name, "mode": "worktree"})
        assert (error["field"], PRIVATE in error["message"]) == ("workspace.path", True), name


@pytest.mark.parametrize("field", ["git", "objects", "top"])
def test_a_task_that_was_created_before_that_was_looked_at_does_not_run(tmp_path: Path, field: str) -> None:
    state, project = tmp_path / "state", str(tmp_path / "project")
    kept = RepositoryRecord(
        git=str(state) if field == "git" else project,
        objects=(project, str(state)) if field == "objects" else (project,),
        top=str(state) if field == "top" else project,
        inside="",
        base="0" * 40,
        format="sha1",
        has_submodules=False,
    )
    workspace = Workspace(mode="worktree", path=project, shared=False, reaches=(project,), repository=kept)
    folders = Folders([tmp_path], [state])
    with pytest.raises(RemitError, match=PRIVATE):
        folders.check(workspace)


@pytest.mark.parametrize("folder", ["settings", "first", "second", "kept"])
def test_a_folder_with_a_link_on_the_way_to_the_settings_is_refused(tmp_path: Path, folder: str) -> None:
    for name in ("settings", "first", "second", "kept", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "kept" / "remit.toml").touch()
    (tmp_path / "second" / "link").symlink_to("../kept/remit.toml")
    (tmp_path / "first" / "link").symlink_to(tmp_path / "second" / "link")
    (tmp_path / "settings" / "remit.toml").symlink_to("../first/link")
    folders = Folders([tmp_path], [tmp_path / "settings" / "remit.toml"])
    folders.check(Workspace(mode="readwrite", path=str(tmp_path / "other"), shared=False, reaches=()))
    with pytest.raises(RemitError, match=PRIVATE):
        folders.check(Workspace(mode="readwrite", path=str(tmp_path / folder), shared=False, reaches=()))
