"""Files that other tools execute, in a git workspace."""

import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import anyio
import pytest

from server.errors import Code, RemitError
from server.runner.filesystem import walk
from server.runner.filesystem.removal import delete_tree
from server.runner.scanning.protected import ALTERNATES, BESIDE_GIT, OF_GIT, OTHER_SYSTEMS, find_protected
from server.runner.tiers.placeholders import make_placeholders
from server.runner.tiers.scratch import Scratch
from server.tier_names import TierName
from tests.runner.commands import NOBODY, files, perform, run
from tests.runner.sandbox.test_commands import shell

EVERY_NAME = (*(f".git/{name}" for name in (*OF_GIT, ALTERNATES)), *BESIDE_GIT, *OTHER_SYSTEMS)
OF_OTHERS = tuple(f"{folder}/{name}" for folder, names in OTHER_SYSTEMS.items() for name in names)
ALTERNATES_INSIDE = f".git/{ALTERNATES}"
PLANTED = "hook-or-setting"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "protocol.file.allow=always")
    command = ("git", "-C", str(folder), *identity, *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(workspace: Path) -> Path:
    """The workspace as a repository with one commit, whoever its user is."""
    git(workspace, "init", "--quiet")
    git(workspace, "commit", "--quiet", "--allow-empty", "--message=first")
    return workspace


def planting(*names: str) -> str:
    """Return a script that tries to write to each of them, by every way there is, and tells which it could."""
    tries = (
        "[ -d {0} ] && echo x > {0}/pre-commit",
        "echo x > {0}",
        "echo x > new && mv -T new {0}",
        "rm -rf {0} && mkdir -p {0}",
        "ln -sfT /tmp {0}",
    )
    return "exec 2>/dev/null; " + "; ".join(f"{each.format(name)} && echo {name}" for name in names for each in tries)


def give_away(folder: Path) -> None:
    """Give the files to the ordinary user, if that is another user."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)


def settings(folder: Path) -> dict[Path, bytes]:
    """Return what git would obey in every repository, copies that a command made for itself apart."""
    paths = [path for path in folder.rglob("*") if path.is_file() and "moved" not in path.parts]
    obeyed = (*OF_GIT, "alternates")
    return {path: path.read_bytes() for path in paths if "hooks" in path.parts or path.name in obeyed}


def test_a_folder_without_a_repository_protects_nothing(tmp_path: Path) -> None:
    (tmp_path / ".envrc").touch()
    assert find_protected(tmp_path).present == find_protected(tmp_path).missing == ()


@pytest.mark.parametrize("name", [".git/hooks", ".envrc", ".git"])
def test_a_symlink_is_never_mounted(repository: Path, tmp_path: Path, name: str) -> None:
    (repository / name).rename(tmp_path / "elsewhere") if (repository / name).exists() else None
    (repository / name).symlink_to(tmp_path)
    found = find_protected(repository)
    assert not [path for path in (*found.present, *found.missing) if path.is_relative_to(repository / name)]


def test_a_branch_is_not_taken_for_a_repository(repository: Path) -> None:
    module = repository / ".git/modules/sub/refs/heads"
    module.mkdir(parents=True)
    (repository / ".git/modules/sub/config").touch()
    (module / "config").touch()
    found = find_protected(repository)
    assert not [path for path in (*found.present, *found.missing) if path.is_relative_to(module)]


def test_the_search_ends_where_folders_are_too_many(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST_FOLDERS", 20)
    for number in range(20):
        (repository / f"a{number}").mkdir()
    git(repository, "init", "--quiet", "z/nested")
    found = find_protected(repository)
    assert repository / ".git/config" in found.present
    assert repository / "z/nested/.git/config" not in found.present


@pytest.mark.namespaces
async def test_what_is_there_cannot_be_written(repository: Path) -> None:
    for name in BESIDE_GIT:
        (repository / name).touch()
    before = files(repository)
    ran = await run(shell("namespaces", repository, planting(*EVERY_NAME)))
    assert (ran.output, files(repository) - before) == ("", {"new"})
    assert (repository / ".envrc").read_text() == ""


@pytest.mark.namespaces
@pytest.mark.parametrize("is_there", [True, False])
async def test_what_other_systems_of_version_control_execute_cannot_be_written(workspace: Path, is_there: bool) -> None:
    """In a folder of the person's that is no repository of git's."""
    for name in OF_OTHERS:
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        if is_there:
            (workspace / name).touch()
    before = files(workspace)
    moving = "; ".join(f"mv {folder} moved" for folder in OTHER_SYSTEMS)
    script = f"{planting(*OF_OTHERS)}; {moving}; for i in {' '.join(OTHER_SYSTEMS)}; do echo x > $i/commit; done"
    ran = await run(replace(shell("namespaces", workspace, script), owner="user"))
    assert (ran.output, files(workspace) - before) == ("", {"new", *(f"{name}/commit" for name in OTHER_SYSTEMS)})


@pytest.mark.namespaces
async def test_a_file_that_leads_to_another_repository_cannot_be_replaced(workspace: Path) -> None:
    (workspace / ".jj").mkdir()
    (workspace / ".jj/repo").write_text("../other")
    ran = await run(replace(shell("namespaces", workspace, planting(".jj/repo")), owner="user"))
    assert (ran.output, (workspace / ".jj/repo").read_text()) == ("", "../other")


async def test_without_a_sandbox_it_can_be_written(repository: Path) -> None:
    names = (".envrc", ".git/commondir", ".git/hooks")
    assert set((await run(shell("off", repository, planting(*names)))).output.split()) == set(names)


async def test_it_can_be_written_where_that_was_asked_for(confining: TierName, repository: Path) -> None:
    if confining == "landlock":
        give_away(repository)
    names = (".envrc", ".git/commondir", ".git/hooks")
    request = replace(shell(confining, repository, planting(*names)), hooks="writable")
    assert set((await run(request)).output.split()) == set(names)


@pytest.mark.namespaces
async def test_what_is_not_there_cannot_be_made_and_leaves_no_trace(repository: Path) -> None:
    (repository / ".git/config").unlink()
    delete_tree(repository / ".git/hooks")
    before = files(repository)
    ran = await run(shell("namespaces", repository, planting(*EVERY_NAME)))
    assert (ran.output, files(repository) - before) == ("", {"new"})


@pytest.mark.namespaces
async def test_git_sees_nothing_of_the_protection_and_works(repository: Path) -> None:
    script = (
        "git status --short; echo 1 > file; git add --all && git -c user.name=a -c user.email=a commit -qm second; "
        "git checkout -qb side; git ls-files; git log --format=%s"
    )
    ran = await run(shell("namespaces", repository, script))
    assert (ran.status, ran.output) == (0, "file\nsecond\nfirst\n")


@pytest.mark.namespaces
async def test_a_repository_borrows_from_no_other_than_before(repository: Path) -> None:
    alternates = repository / ALTERNATES_INSIDE
    alternates.write_text("/elsewhere\n")
    moving = "mv .git/objects moved; mkdir -p .git/objects/info; echo /tmp > .git/objects/info/alternates"
    await run(shell("namespaces", repository, f"{planting(ALTERNATES_INSIDE)}; {moving}"))
    assert alternates.read_text() == "/elsewhere\n"


@pytest.mark.namespaces
async def test_a_repository_without_the_folder_for_alternates_gets_none_of_a_command(repository: Path) -> None:
    delete_tree(repository / ".git/objects/info")
    ran = await run(shell("namespaces", repository, planting(ALTERNATES_INSIDE)))
    assert (ran.output, (repository / ALTERNATES_INSIDE).exists()) == ("", False)


@pytest.mark.namespaces
@pytest.mark.parametrize("has_folder", [True, False])
async def test_git_packs_and_fetches_beside_the_protection(repository: Path, has_folder: bool) -> None:
    git(repository, "clone", "--quiet", str(repository), str(repository / "origin"))
    git(repository / "origin", "commit", "--quiet", "--allow-empty", "--message=fetched")
    if not has_folder:
        delete_tree(repository / ".git/objects/info")
    script = (
        "set -e; git fetch -q ./origin HEAD; git -c user.name=a -c user.email=a merge -q FETCH_HEAD; "
        "git -c user.name=a -c user.email=a commit -q --allow-empty -m second; git gc -q; git repack -adq; "
        "git clone -q . copied; git fsck --strict; git -C copied log --format=%s"
    )
    ran = await run(shell("namespaces", repository, script))
    assert (ran.status, ran.output) == (0, "second\nfetched\nfirst\n")
    assert git(repository, "count-objects", "-v").splitlines()[0] == "count: 0"


@pytest.mark.namespaces
async def test_git_works_outside_while_a_command_runs(repository: Path) -> None:
    seen: list[str] = []

    async def look(_: bytes) -> None:
        seen.append(git(repository, "status", "--porcelain") + git(repository, "log", "--format=%s"))
        (repository / "looked").touch()

    await perform(shell("namespaces", repository, "echo; until [ -e looked ]; do sleep 0.01; done"), look)
    assert seen == ["first\n"]


def nested(repository: Path) -> tuple[Path, str]:
    git(repository, "init", "--quiet", "a/b")
    return repository, "a/b/.git"


def submodule(repository: Path) -> tuple[Path, str]:
    source = repository.parent / "source"
    git(repository, "clone", "--quiet", str(repository), str(source))
    git(repository, "submodule", "--quiet", "add", str(source), "sub")
    return repository, ".git/modules/sub"


def linked_worktree(repository: Path) -> tuple[Path, str]:
    git(repository, "worktree", "add", "--quiet", "linked")
    return repository, ".git/worktrees/linked"


def kept_apart(repository: Path) -> tuple[Path, str]:
    git(repository, "init", "--quiet", "--separate-git-dir", str(repository / "kept"), str(repository / "apart"))
    return repository, "kept"


@pytest.mark.namespaces
@pytest.mark.parametrize("make", [nested, submodule, linked_worktree, kept_apart])
async def test_every_repository_in_the_workspace_is_protected(
    make: Callable[[Path], tuple[Path, str]], repository: Path
) -> None:
    folder, of_git = make(repository)
    borrows = make is not linked_worktree  # that has no objects of its own
    names = [f"{of_git}/{name}" for name in (*OF_GIT, *([ALTERNATES] if borrows else []))]
    before = settings(folder)
    ran = await run(shell("namespaces", folder, planting(*names) + f"; mv {of_git} moved; mv a moved"))
    assert ran.output == ""
    assert settings(folder) == before


@pytest.mark.namespaces
async def test_a_worktree_cannot_be_led_to_another_repository(workspace: Path) -> None:
    git(workspace, "init", "--quiet", "--separate-git-dir", str(workspace.parent / "elsewhere"))
    names = (workspace / ".git").read_bytes()
    ran = await run(shell("namespaces", workspace, planting(".git", ".envrc")))
    assert (ran.output, (workspace / ".git").read_bytes()) == ("", names)


@pytest.mark.namespaces
@pytest.mark.parametrize(("hooks", "planted"), [("read-only", False), ("writable", True)])
async def test_a_folder_that_was_closed_is_not_opened_again_to_plant_a_hook(
    hooks: Literal["read-only", "writable"], planted: bool, repository: Path
) -> None:
    git(repository, "init", "--quiet", "a/b")
    give_away(repository)
    (repository / "a").chmod(0)
    request = shell("namespaces", repository, "chmod 777 a 2>/dev/null; echo x > a/b/.git/hooks/planted")
    await run(replace(request, hooks=hooks), unprivileged=True)
    (repository / "a").chmod(0o755)
    assert (repository / "a/b/.git/hooks/planted").exists() is planted


@pytest.mark.namespaces
async def test_what_a_person_puts_in_a_protected_place_meanwhile_is_kept(repository: Path) -> None:
    async def replace_stand_ins(_: bytes) -> None:
        (repository / ".envrc").unlink()
        (repository / ".envrc").write_text("mine")
        (repository / ".vscode/settings.json").touch()
        (repository / "looked").touch()

    await perform(shell("namespaces", repository, "echo; until [ -e looked ]; do sleep 0.01; done"), replace_stand_ins)
    assert (repository / ".envrc").read_text() == "mine"
    assert (repository / ".vscode/settings.json").exists()


@pytest.mark.namespaces
async def test_a_stand_in_that_cannot_be_made_refuses_the_command_and_leaves_none(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted", ".envrc")

    before = files(repository)
    monkeypatch.setattr(os, "mknod", refuse)
    with pytest.raises(RemitError, match="allowHooks"):
        await run(shell("namespaces", repository, "true"))
    assert files(repository) == before


async def test_what_a_killed_server_left_is_removed_at_the_next_start(repository: Path, tmp_path: Path) -> None:
    before, scratch = files(repository), Scratch(tmp_path / "scratch")
    with anyio.CancelScope():
        async with scratch.protected(repository):
            left = [path.read_bytes() for path in (tmp_path / "scratch").rglob("stand-ins")]
    assert files(repository) == before
    (tmp_path / "scratch/remit-dead").mkdir()
    (tmp_path / "scratch/remit-dead/stand-ins").write_bytes(left[0])
    make_placeholders(repository, find_protected(repository).missing)
    assert files(repository) > before
    scratch.sweep()
    assert (files(repository), os.listdir(tmp_path / "scratch")) == (before, [])


@pytest.mark.parametrize("cut", [0, 5])
def test_a_record_that_a_killed_server_did_not_finish_is_swept_away(tmp_path: Path, cut: int) -> None:
    scratch = Scratch(tmp_path / "scratch")
    (tmp_path / "scratch/remit-dead").mkdir()
    (tmp_path / "scratch/remit-dead/stand-ins").write_bytes(os.fsencode(tmp_path)[:cut])
    scratch.sweep()
    assert os.listdir(tmp_path / "scratch") == []


def is_there(path: Path) -> bool:
    return os.path.lexists(path)


async def test_a_stand_in_stays_until_the_last_command_has_ended(repository: Path, tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "scratch")
    envrc = repository / ".envrc"
    async with scratch.protected(repository):
        second = scratch.protected(repository)
        assert envrc in await second.__aenter__()
    assert is_there(envrc)
    await second.__aexit__(None, None, None)
    assert not is_there(envrc)


async def test_what_is_made_while_a_command_is_at_work_is_mounted_for_no_other(
    repository: Path, tmp_path: Path
) -> None:
    scratch = Scratch(tmp_path / "scratch")
    hooks = repository / "within" / ".git" / "hooks"
    async with scratch.protected(repository) as first:
        hooks.mkdir(parents=True)  # which a command could exchange for a link at any moment
        async with scratch.protected(repository) as second:
            assert set(first) == set(second)
    async with scratch.protected(repository) as third:
        assert hooks in third


@pytest.mark.parametrize("first", [True, False])
async def test_commands_from_which_nothing_is_protected_are_not_at_work_beside_others(
    repository: Path, tmp_path: Path, first: bool
) -> None:
    scratch = Scratch(tmp_path / "scratch")

    @asynccontextmanager
    async def at_work(is_protected: bool) -> AsyncIterator[None]:
        if is_protected:
            async with scratch.protected(repository):
                yield
        else:
            with scratch.unprotected(repository):
                yield

    async with at_work(first), at_work(first):
        with pytest.raises(RemitError, match="cannot be at work") as caught:
            await at_work(not first).__aenter__()
    assert caught.value.code is Code.SANDBOX_UNAVAILABLE
    async with at_work(not first):
        pass


async def test_every_command_has_its_stand_ins_on_record(repository: Path, tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "scratch")
    async with scratch.protected(repository):
        second = scratch.protected(repository)
        await second.__aenter__()
    Scratch(tmp_path / "scratch").sweep()  # as the next server does where this one was killed
    assert not is_there(repository / ".envrc")
    await second.__aexit__(None, None, None)
