"""Repositories that are out to have something executed, or to harm the person's own: nothing of that works."""

import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.errors import RemitError
from server.runner.git.git_command import ENVIRONMENT
from server.runner.git.repository import find_repository
from server.runner.worktrees.script import keeping
from server.runner.worktrees.worktree import _finding
from tests import servers
from tests.servers import Host, script
from tests.tasks.workspaces.projects import branches, contents, git, repository, text, tip

EVIL = """
cat > .git/evil <<END
#!/bin/sh
touch '{mark}'
cat
END
chmod +x .git/evil
mkdir -p .git/hooks
for hook in reference-transaction post-checkout post-commit post-index-change post-rewrite pre-auto-gc
do cp .git/evil .git/hooks/$hook; done
git config core.fsmonitor "$PWD/.git/evil"
git config core.pager "$PWD/.git/evil"
git config core.alternateRefsCommand "$PWD/.git/evil"
git config diff.external "$PWD/.git/evil"
git config filter.x.clean "$PWD/.git/evil"
git config filter.x.smudge "$PWD/.git/evil"
git config diff.x.textconv "$PWD/.git/evil"
mkdir -p .git/info
echo '* filter=x diff=x' > .git/info/attributes
"""
SPEAKING = """
cat > .git/speaker <<'END'
#!/usr/bin/python3
import os, sys
for process in filter(str.isdigit, os.listdir("/proc")):
    if b"answer()" in open(f"/proc/{process}/cmdline", "rb").read():
        for fd in os.listdir(f"/proc/{process}/fd"):
            if fd != "0" and os.readlink(f"/proc/{process}/fd/{fd}").startswith(("pipe", "socket")):
                with open(f"/proc/{process}/fd/{fd}", "wb", 0) as outside:
                    outside.write(b"ok:x\\n")
sys.stdout.buffer.write(sys.stdin.buffer.read())
END
chmod +x .git/speaker
"""
"""A filter that, were it started by a look at the worktree, would make nonsense of what that says."""

WITHOUT = "git -c core.fsmonitor=false -c core.hooksPath=/dev/null -c filter.x.clean=cat"


async def hostile(host: Host, lines: str, path: str = "project") -> dict[str, Any]:
    """Return a task that has done its worst, with leave to write hooks and settings; it leaves all as it was."""
    return await host.done(script(lines), workspace={"path": path}, allowHooks=True)


async def refused(host: Host, project: Path, lines: str) -> str:
    """Why nothing of a hostile task has reached the person's repository, which is as sound as it was."""
    before = contents(project)
    task = await hostile(host, lines)
    workspace = task["workspace"]
    assert tip(project, workspace["branch"]) == tip(project, "main")
    assert contents(project) == before
    git(project, "fsck", "--strict")
    return str(workspace["problem"])


async def test_nothing_that_a_tasks_repository_names_is_executed_outside_the_sandbox(
    host: Host, project: Path, place: Path
) -> None:
    mark = place / "mark"
    before = contents(project)
    commit = f"echo x >> a.txt; {WITHOUT} add a.txt; {WITHOUT} commit -qm evil; echo y >> a.txt"
    task = await hostile(host, f"{EVIL.format(mark=mark)}\n{commit}")
    assert task["workspace"]["carriedCommit"] == tip(project, task["workspace"]["branch"])
    assert (mark.exists(), contents(project)) == (False, before)
    git(Path(task["workspace"]["folder"]), "status")
    assert mark.exists(), "the trap was none"


async def test_nothing_that_the_persons_repository_names_is_executed_outside_the_sandbox(
    host: Host, project: Path, place: Path
) -> None:
    mark = place / "mark"
    (project / "setup.sh").write_text(EVIL.format(mark=mark))
    await anyio.run_process(["sh", "setup.sh"], cwd=project)
    mark.unlink(missing_ok=True)
    task = await hostile(host, "echo x >> a.txt && git commit -qam 'by the task'")
    assert task["workspace"]["carriedCommit"] == tip(project, task["workspace"]["branch"])
    assert task["workspace"]["carriedCommit"] != task["workspace"]["baseCommit"]
    assert not mark.exists()
    git(project, "status")
    assert mark.exists(), "the trap was none"


async def test_no_version_of_git_fetches_what_the_persons_repository_lacks(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, mark = repository(place / "partial"), place / "mark"
    (place / "evil").write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    (place / "evil").chmod(0o755)
    settings = {
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": str(folder),
        "remote.origin.uploadpack": str(place / "evil"),
        "protocol.file.allow": "always",
    }
    for name, value in settings.items():
        git(folder, "config", name, value)
    tree = git(folder, "rev-parse", "main:").strip()
    (folder / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    monkeypatch.delitem(ENVIRONMENT, "GIT_NO_LAZY_FETCH")  # as for a version that does not know it
    await find_repository(folder)
    assert not mark.exists()
    git(folder, "cat-file", "-e", "main:a.txt", ok=False)
    assert mark.exists(), "the trap was none"


@pytest.mark.namespaces
@pytest.mark.parametrize("within", [".", "tool"])
async def test_a_look_starts_no_program_of_the_task(host: Host, project: Path, within: str) -> None:
    lines = f"""{SPEAKING}
        git init -q tool && git -C tool -c user.name=x -c user.email=x@y.invalid commit -q --allow-empty -m mine
        cp a.txt tool; git -C tool add a.txt; git add . && git commit -qm all
        export GIT_DIR=$PWD/{within}/.git
        git config filter.x.clean "$PWD/.git/speaker"
        mkdir -p {within}/.git/info
        echo '* filter=x' > {within}/.git/info/attributes
        touch {within}/a.txt
    """
    workspace = (await hostile(host, lines))["workspace"]
    assert "a repository within" in workspace["problem"]
    assert workspace["headCommit"] == workspace["carriedCommit"]


@pytest.mark.parametrize("said", [b"ok:x\n", b"ok:\n" * 20, b"ok:AA==\xff:\n"])
def test_nonsense_is_taken_for_no_answer(said: bytes) -> None:
    with pytest.raises(RemitError, match="cannot read the worktree"):
        _finding(said, None)


async def test_who_says_more_than_was_asked_is_not_listened_to() -> None:
    with pytest.raises(RemitError, match="printed more than the script expects"):
        await keeping(bytearray(), 1)(b"xx")


@pytest.mark.namespaces
async def test_no_program_is_started_to_fetch_what_is_missing(host: Host, project: Path) -> None:
    lines = """
        printf '#!/bin/sh\necho started >&2\n' > .git/evil; chmod +x .git/evil
        missing=1111111111111111111111111111111111111111
        tree=$(printf '100644 blob %s\tgone\n' $missing | git mktree --missing)
        git update-ref HEAD $(git commit-tree -p HEAD -m broken $tree)
        git config extensions.partialClone origin; git config core.repositoryFormatVersion 1
        git config remote.origin.promisor true; git config remote.origin.partialCloneFilter blob:none
        git config remote.origin.url "$PWD"
        git config remote.origin.uploadpack "$PWD/.git/evil"
    """
    problem = await refused(host, project, lines)
    assert ("could not be packed" in problem, "remote repository" in problem) == (True, False)


@pytest.mark.namespaces
@pytest.mark.parametrize("harm", ["rm .git/HEAD", "echo x > .git/index", "echo x > .git/HEAD"])
async def test_a_worktree_that_cannot_be_read_keeps_no_server_from_starting(
    killed_home: Path, project: Path, variables: dict[str, str], harm: str
) -> None:
    async with servers.host(killed_home, cwd=project.parent, **variables) as host:
        task = await hostile(host, harm)
        assert task["workspace"]["problem"]
        servers.kill(killed_home)
    async with servers.host(killed_home, cwd=project.parent, **variables) as host:
        assert (await host.call("get_task", id=task["id"]))["status"] == "completed"


@pytest.mark.parametrize("name", ["refs/heads/remit", "logs/refs/heads/remit"])
async def test_a_link_among_gits_own_files_leads_no_branch_out_of_the_repository(
    host: Host, project: Path, tmp_path: Path, name: str
) -> None:
    outside, link = tmp_path / "outside", project / ".git" / name
    outside.mkdir()
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)
    await host.done("$ git commit -q --allow-empty -m more", workspace={"path": "project"})
    assert list(outside.iterdir()) == []


async def test_a_link_among_gits_own_files_shows_nothing_from_outside(
    host: Host, project: Path, tmp_path: Path
) -> None:
    commit = "$ git commit -q --allow-empty -m more"
    task_id, call = await host.waiting(commit, workspace={"path": "project"})
    (tmp_path / "private").write_text("token-of-the-operator\n")
    (project / ".git" / "shallow").symlink_to(tmp_path / "private")
    await host.decide(task_id, call, "proceed_once")
    task = await host.until(task_id, "completed")
    assert "symlinks are not followed" in task["workspace"]["problem"]
    assert "token-of-the-operator" not in str(task)


async def test_a_branch_that_became_another_name_of_a_branch_moves_and_removes_nothing(
    host: Host, project: Path
) -> None:
    task = await host.done("$ true", workspace={"path": "project"})
    git(project, "symbolic-ref", f"refs/heads/{task['workspace']['branch']}", "refs/heads/main")
    main = tip(project, "main")
    await host.call("send_message", id=task["id"], message="$ git commit -q --allow-empty -m more")
    workspace = (await host.until(task["id"], "completed"))["workspace"]
    assert ("another name of a branch" in workspace["problem"], tip(project, "main")) == (True, main)
    await host.fail("delete_task", id=task["id"])
    assert tip(project, "main") == main


async def test_objects_of_another_repository_are_not_reached_through_alternates(
    host: Host, project: Path, place: Path
) -> None:
    private = repository(place / "private")
    git(private, "commit", "-q", "--allow-empty", "-m", "private")
    lines = f"""
        echo {private}/.git/objects >> .git/objects/info/alternates
        echo {tip(private, "main")} > .git/refs/heads/stolen
        echo ref: refs/heads/stolen > .git/HEAD
    """
    assert "cannot read" in await refused(host, project, lines)
    assert git(project, "cat-file", "-t", tip(private, "main"), ok=False) == ""


@pytest.mark.parametrize("link", ["ln -s {private}/.git .git", "echo gitdir: {private}/.git > .git", "true"])
async def test_a_git_folder_that_leads_elsewhere_or_nowhere_is_not_followed(
    host: Host, project: Path, place: Path, link: str
) -> None:
    private = repository(place / "private")
    lines = f"rm -rf .git; {link.format(private=private)}"
    assert "cannot read" in await refused(host, project, lines)


async def test_a_commit_whose_objects_are_not_all_there_is_not_carried_over(host: Host, project: Path) -> None:
    lines = """
        missing=1111111111111111111111111111111111111111
        tree=$(printf '100644 blob %s\\tgone\\n' $missing | git mktree --missing)
        git update-ref HEAD $(git commit-tree -p HEAD -m broken $tree)
    """
    assert "could not be packed" in await refused(host, project, lines)


async def test_a_tree_that_would_write_into_git_folders_is_not_carried_over(host: Host, project: Path) -> None:
    lines = """
        blob=$(echo evil | git hash-object -w --stdin)
        tree=$(printf '100644 blob %s\\tconfig\\n' $blob | git mktree)
        python3 - $tree > $TMPDIR/raw <<'END'
import sys
sys.stdout.buffer.write(b"40000 .git\\0" + bytes.fromhex(sys.argv[1]))
END
        outer=$(git hash-object -t tree -w --stdin --literally < $TMPDIR/raw)
        git update-ref HEAD $(git commit-tree -p HEAD -m evil $outer)
    """
    assert "could not be checked" in await refused(host, project, lines)


async def test_commits_that_are_too_large_are_not_carried_over(
    own_home: Path, project: Path, variables: dict[str, str]
) -> None:
    async with servers.host(own_home, cwd=project.parent, **variables, REMIT_LIMITS__FILE_SIZE="1MiB") as host:
        lines = "for i in 1 2 3; do head -c 900000 /dev/urandom > f$i; done; git add .; git commit -qm large"
        assert "larger than a file may be" in await refused(host, project, lines)


async def test_a_diff_that_does_not_fit_keeps_no_commit_from_being_carried_over(
    own_home: Path, project: Path, variables: dict[str, str]
) -> None:
    async with servers.host(own_home, cwd=project.parent, **variables, REMIT_LIMITS__TMP_SIZE="1MiB") as host:
        lines = "head -c 4000000 /dev/urandom | base64 > large; git add .; git commit -qm large"
        workspace = (await host.done(script(lines), workspace={"path": "project"}))["workspace"]
        assert workspace["carriedCommit"] == workspace["headCommit"] == tip(project, workspace["branch"])
        assert workspace["diff"].endswith("[… cut …]\n")


async def test_what_was_not_carried_over_is_not_lost(host: Host, project: Path) -> None:
    task = await hostile(host, "echo x > x; git add x; git commit -qm x; rm -rf .git")
    error = await host.fail("delete_task", id=task["id"])
    assert (error["code"], "would be lost" in error["message"]) == ("CONFLICT", True)
    assert text(task["workspace"]["folder"], "x") == "x\n"
    assert branches(project) == [task["workspace"]["branch"]]


async def test_a_replaced_object_does_not_change_what_is_carried_over(host: Host, project: Path) -> None:
    lines = """
        echo good > x; git add x; git commit -qm good
        git replace $(git rev-parse HEAD:x) $(echo evil | git hash-object -w --stdin)
    """
    task = await hostile(host, lines)
    assert git(project, "show", f"{task['workspace']['branch']}:x") == "good\n"
    assert "+good\n" in task["workspace"]["diff"]


async def test_the_persons_repository_cannot_be_written_to(host: Host, project: Path) -> None:
    before = contents(project)
    objects = set((project / ".git" / "objects").rglob("*"))
    git_folder = project / ".git"
    task = await hostile(host, f"touch {project}/x {git_folder}/x {git_folder}/objects/x; cat {git_folder}/config")
    said = task["output"]["content"]
    assert re.search("objects/x'?: (Read-only file system|Permission denied)", said)
    assert re.search("config: (No such file or directory|Permission denied)", said)
    assert (contents(project), set((project / ".git" / "objects").rglob("*"))) == (before, objects)


async def test_borrowed_objects_must_lie_within_the_allowed_folders(host: Host, place: Path, tmp_path: Path) -> None:
    outside = repository(tmp_path / "outside")
    git(place, "clone", "-q", "--shared", str(outside), "borrower")
    error = await host.fail("create_task", message="$ true", workspace={"path": "borrower"})
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "workspace.path")


async def test_a_repository_above_the_allowed_folders_is_not_borrowed_from(own_home: Path, place: Path) -> None:
    folder = repository(place / "whole")
    allowed = json.dumps([str(folder / "sub")])
    async with servers.host(own_home, cwd=place, REMIT_WORKSPACES=allowed) as host:
        error = await host.fail("create_task", message="$ true", workspace={"path": "whole/sub"})
        assert "is not within the folders" in error["message"]
        task = await host.done("$ cat b.txt", workspace={"path": "whole/sub", "mode": "readonly"})
        assert task["output"]["content"] == "two\n"


@pytest.mark.parametrize("arguments", [{}, {"path": "key"}])
async def test_files_are_not_read_behind_a_link_that_another_task_has_put_above_a_folder(
    host: Host, place: Path, tmp_path: Path, arguments: dict[str, str]
) -> None:
    for folder in (place / "outer/sub/private", tmp_path / "private"):
        folder.mkdir(parents=True)
        (folder / "key").write_text("of the person's")
    reader = await host.done("$ ls", workspace={"path": "outer/sub/private", "mode": "readonly"})
    assert await host.call("read_artifacts", id=reader["id"], **arguments)
    lines = f"mv sub moved; ln -s {tmp_path} sub"
    await host.done(script(lines), workspace={"path": "outer", "mode": "readwrite"}, allowHooks=True)
    assert (place / "outer/sub/private/key").exists()
    error = await host.fail("read_artifacts", id=reader["id"], **arguments)
    assert error["code"] == "NOT_FOUND"
