"""Tasks that work on a branch of their own, and leave the person's files alone."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from server.runner.worktrees.worktree import MOST_DIFF
from tests import servers
from tests.servers import Host, script
from tests.tasks.workspaces import projects
from tests.tasks.workspaces.projects import branches, contents, git, in_progress, repository, text, tip

COMMIT = "echo more >> a.txt && git commit -qam 'by the task'"


async def work(host: Host, lines: str, path: str = "project", **arguments: Any) -> dict[str, Any]:
    """Return a task that has worked there, as it is shown."""
    return await host.done(script(lines), workspace={"path": path}, **arguments)


async def test_five_tasks_at_once_leave_the_persons_files_and_index_as_they_are(host: Host, project: Path) -> None:
    before = contents(project)
    tasks: dict[int, dict[str, Any]] = {}

    async def run(number: int) -> None:
        tasks[number] = await work(host, f"echo {number} > n{number} && git add . && git commit -qm {number}")

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(run, number)
    assert contents(project) == before
    assert git(project, "status", "--porcelain") == " M a.txt\nA  staged.txt\n?? new.txt\n"
    for number, task in tasks.items():
        workspace = task["workspace"]
        assert workspace["branch"] == f"remit/{task['id']}"
        assert workspace["changedFiles"] == [{"path": f"n{number}", "status": "added"}]
        assert tip(project, workspace["branch"]) == workspace["headCommit"]
        assert git(project, "show", f"{workspace['branch']}:n{number}") == f"{number}\n"
    git(project, "fsck", "--strict")


async def test_the_result_says_what_has_changed(host: Host, project: Path) -> None:
    task = await work(host, f"{COMMIT}; rm sub/b.txt; echo x > untracked; echo y >> a.txt")
    workspace = task["workspace"]
    assert workspace["baseCommit"] == tip(project, "main")
    assert (workspace["mode"], workspace["dirty"], workspace["carriedCommit"]) == (
        "worktree",
        True,
        tip(project, workspace["branch"]),
    )
    assert {file["path"]: file["status"] for file in workspace["changedFiles"]} == {
        "a.txt": "modified",
        "sub/b.txt": "deleted",
        "untracked": "untracked",
    }
    assert "+more\n+y\n" in workspace["diff"]
    assert text(workspace["folder"], "untracked") == "x\n"


async def test_uncommitted_changes_are_warned_of_and_not_seen(host: Host, project: Path) -> None:
    created = await host.call("create_task", message="$ cat a.txt; ls", workspace={"path": "project"})
    assert created["warnings"] == ["the repository has uncommitted changes, which the task does not see"]
    task = await host.until(created["id"], "completed")
    assert task["output"]["content"] == "one\na.txt\nsub\n"


async def test_a_repository_without_changes_brings_no_warning(host: Host, place: Path) -> None:
    repository(place / "clean")
    created = await host.call("create_task", message="$ true", workspace={"path": "clean"})
    assert created["warnings"] == []
    await host.until(created["id"], "completed")


async def test_a_folder_of_the_repository_is_where_the_task_starts(host: Host, project: Path) -> None:
    task = await work(host, "ls; basename $PWD; git add -A; echo x > c; git add c; git commit -qm c", "project/sub")
    assert task["output"]["content"] == "b.txt\nsub\n"
    assert task["workspace"]["changedFiles"] == [{"path": "sub/c", "status": "added"}]


@pytest.mark.parametrize(("ending", "status"), [("exit 3", "failed"), ("kill -9 $$", "failed"), ("sleep 60", "failed")])
async def test_a_turn_that_fails_or_is_ended_leaves_its_commits_too(
    host: Host, project: Path, ending: str, status: str
) -> None:
    task = await work(host, f"{COMMIT}; {ending}", timeoutSeconds=3)
    assert task["status"] == status
    assert git(project, "log", "-1", "--format=%s", task["workspace"]["branch"]) == "by the task\n"


async def test_a_cancelled_task_leaves_its_commits_too(host: Host, project: Path) -> None:
    message = f"$ {COMMIT}; echo committed; sleep 60"
    task_id = await host.create(message, workspace={"path": "project"})
    await host.said(task_id, "committed\n")
    await host.call("cancel_task", id=task_id)
    task = await host.until(task_id, "cancelled")
    assert tip(project, task["workspace"]["branch"]) == task["workspace"]["headCommit"]
    assert task["workspace"]["headCommit"] != task["workspace"]["baseCommit"]


async def test_a_further_message_goes_on_in_the_same_worktree(host: Host, project: Path) -> None:
    task = await work(host, f"{COMMIT}; echo x > kept")
    await host.call("send_message", id=task["id"], message="$ cat kept; git add . && git commit -qm second")
    task = await host.until(task["id"], "completed")
    assert task["output"]["content"] == "x\n"
    assert git(project, "log", "--format=%s", task["workspace"]["branch"]) == "second\nby the task\nfirst\n"
    assert task["workspace"]["dirty"] is False


async def test_a_call_that_waits_for_approval_leaves_the_worktree_as_it_was(host: Host, project: Path) -> None:
    message = f"$ {COMMIT}\n$ git log --format=%s"
    task_id, call_id = await host.waiting(message, workspace={"path": "project"})
    await host.decide(task_id, call_id, "proceed_once")
    await host.decide(task_id, await host.waiting_call(task_id), "proceed_once")
    task = await host.until(task_id, "completed")
    assert task["output"]["content"] == "by the task\nfirst\n"


async def test_uploads_do_not_land_in_the_repository(host: Host, project: Path) -> None:
    task = await work(host, "ls; cat $TASK_UPLOADS/x; git status -s", files=[{"path": "x", "content": "sent\n"}])
    assert task["output"]["content"] == "a.txt\nsub\nsent\n"


async def test_secrets_are_masked_in_names_and_diff(host: Host, project: Path) -> None:
    message = "echo $TOKEN > a.txt; echo x > $TOKEN; git commit -qam one"
    task = await work(host, message, secrets={"TOKEN": "very-secret-value"})
    assert "very-secret-value" not in str(task)
    assert {"path": "[secret TOKEN]", "status": "untracked"} in task["workspace"]["changedFiles"]
    assert "+[secret TOKEN]\n" in task["workspace"]["diff"]


async def test_a_secret_of_many_lines_is_masked_in_the_diff(host: Host, project: Path) -> None:
    secret = "-----BEGIN KEY-----\nfirst-secret-line\nsecond-secret-line\n-----END KEY-----"
    task = await work(host, 'echo "$KEY" > a.txt', secrets={"KEY": secret})
    assert "+[secret KEY]\n" in task["workspace"]["diff"]
    assert not any(line in str(task) for line in secret.splitlines())


async def test_a_secret_that_is_cut_with_the_diff_is_masked(host: Host, project: Path) -> None:
    before = MOST_DIFF - 300  # and the diff's own lines before it are shorter than that
    message = f'(head -c {before} /dev/zero | tr "\\0" x; echo "$KEY") > a.txt'
    task = await work(host, message, secrets={"KEY": "very-secret-value" * 40})
    assert task["workspace"]["diff"].endswith("x\n[… cut …]\n")
    assert "very-secret" not in task["workspace"]["diff"]


@pytest.mark.parametrize("shift", [0, 1])
async def test_a_secret_that_is_cut_with_the_diff_within_a_character_is_masked(
    host: Host, project: Path, shift: int
) -> None:
    before = MOST_DIFF - 300 + shift
    message = f'(head -c {before} /dev/zero | tr "\\0" x; echo "$KEY") > a.txt'
    task = await work(host, message, secrets={"KEY": "very-secret-" + "ö" * 300})
    assert task["workspace"]["diff"].endswith("x\n[… cut …]\n")


async def test_a_secret_that_git_cuts_beside_the_numbers_of_a_change_is_not_shown(host: Host, place: Path) -> None:
    folder = repository(place / "headed")
    (folder / "a.txt").write_text(f"token = '{'x' * 60}very-secret-value'\n" + "    line\n" * 20)
    git(folder, "commit", "-qam", "with a heading")
    task = await work(host, "echo more >> a.txt", "headed", secrets={"TOKEN": "very-secret-value"})
    assert "+more\n" in task["workspace"]["diff"]
    assert "very" not in task["workspace"]["diff"]


async def test_a_secret_in_a_name_is_masked_whatever_its_letters(host: Host, project: Path) -> None:
    message = 'echo x > "$TOKEN"; git add .'
    task = await work(host, message, secrets={"TOKEN": "geheimes-pässwört"})
    assert "+++ b/[secret TOKEN]\n" in task["workspace"]["diff"]
    assert "geheimes" not in str(task)


@pytest.mark.parametrize("later", [None, "another-value"])
@pytest.mark.parametrize("message", ["$ true", "$ git commit -qm f"])
async def test_a_secret_of_an_earlier_turn_is_not_in_the_diff(
    host: Host, project: Path, message: str, later: str | None
) -> None:
    task = await work(host, "echo $KEY > f; git add f", secrets={"KEY": "very-secret-value"})
    await host.call("send_message", id=task["id"], message=message, secrets={"KEY": later})
    task = await host.until(task["id"], "completed")
    assert text(task["workspace"]["folder"], "f") == "very-secret-value\n"
    assert "very-secret-value" not in str(task)


async def test_a_secret_by_name_of_an_earlier_turn_is_masked_in_the_diff(
    own_home: Path, place: Path, project: Path, variables: dict[str, str]
) -> None:
    (own_home.parent / "token").write_text("very-secret-value")
    (own_home.parent / "remit.toml").write_text(f'[secrets.KEY]\nfile = "{own_home.parent}/token"\n')
    async with servers.host(own_home, cwd=place, **variables) as host:
        task = await work(host, "echo $KEY > f; git add f", secretNames=["KEY"])
        await host.call("send_message", id=task["id"], message="$ git commit -qm f", secrets={"KEY": None})
        task = await host.until(task["id"], "completed")
    assert "+[secret KEY]\n" in task["workspace"]["diff"]


async def test_what_was_shown_masked_stays_when_the_secrets_are_gone(host: Host, project: Path) -> None:
    message = "echo $TOKEN > a.txt"
    task = await work(host, message, secrets={"TOKEN": "very-secret-value"})
    assert (await host.fail("delete_task", id=task["id"]))["code"] == "CONFLICT"
    assert (await host.call("get_task", id=task["id"]))["workspace"] == task["workspace"]


async def test_a_long_diff_and_many_files_are_cut_and_counted(host: Host, project: Path) -> None:
    task = await work(host, "seq 50000 > long; git add long; for i in $(seq 300); do echo > f$i; done")
    workspace = task["workspace"]
    assert len(workspace["diff"]) < 8000
    assert "left out here" in workspace["diff"]
    assert len(workspace["changedFiles"]) + workspace["omittedFiles"] == 301


async def test_a_bare_repository_has_worktrees_too(host: Host, place: Path) -> None:
    repository(place / "source")
    git(place, "clone", "-q", "--bare", "source", "bare.git")
    task = await work(host, COMMIT, "bare.git")
    assert git(place / "bare.git", "show", f"{task['workspace']['branch']}:a.txt") == "one\nmore\n"


async def test_a_shallow_repository_has_worktrees_too(host: Host, place: Path) -> None:
    source = repository(place / "source")
    git(source, "commit", "-q", "--allow-empty", "-m", "second")
    git(place, "clone", "-q", "--depth", "1", f"file://{source}", "shallow")
    task = await work(host, f"git log --format=%s; {COMMIT}", "shallow")
    assert task["output"]["content"] == "second\n"
    assert git(place / "shallow", "log", "--format=%s", task["workspace"]["branch"]) == "by the task\nsecond\n"
    git(place / "shallow", "fsck")


async def test_a_repository_with_longer_names_of_objects_has_worktrees_too(host: Host, place: Path) -> None:
    folder = repository(place / "long", "--object-format=sha256")
    task = await work(host, COMMIT, "long")
    assert len(task["workspace"]["headCommit"]) == 64
    assert tip(folder, task["workspace"]["branch"]) == task["workspace"]["headCommit"]


async def test_a_linked_worktree_of_the_persons_has_worktrees_too(host: Host, project: Path, place: Path) -> None:
    git(project, "worktree", "add", "-q", str(place / "linked"))
    (place / "linked" / "more").write_text("more")
    git(place / "linked", "add", ".")
    git(place / "linked", "commit", "-qm", "of the linked one")
    task = await work(host, "git log --format=%s", "linked")
    assert task["output"]["content"] == "of the linked one\nfirst\n"
    assert branches(project) == [task["workspace"]["branch"]]


async def test_a_repository_that_borrows_objects_has_worktrees_too(host: Host, place: Path) -> None:
    repository(place / "lender")
    git(place, "clone", "-q", "--shared", "lender", "borrower")
    task = await work(host, COMMIT, "borrower")
    assert git(place / "borrower", "show", f"{task['workspace']['branch']}:a.txt") == "one\nmore\n"


async def test_a_detached_head_is_where_the_task_starts(host: Host, project: Path) -> None:
    git(project, "stash", "-q")
    git(project, "commit", "-q", "--allow-empty", "-m", "second")
    git(project, "checkout", "-q", "--detach", "HEAD~1")
    task = await work(host, "git log --format=%s")
    assert task["output"]["content"] == "first\n"


async def test_submodules_are_not_checked_out_and_that_is_said(host: Host, place: Path) -> None:
    repository(place / "part")
    whole = repository(place / "whole")
    git(whole, "submodule", "add", "-q", str(place / "part"), "part")
    git(whole, "commit", "-qm", "with a part")
    created = await host.call("create_task", message="$ ls part", workspace={"path": "whole"})
    assert created["warnings"] == ["submodules are not checked out in the task's worktree"]
    assert (await host.until(created["id"], "completed"))["output"]["content"] == ""


async def test_a_submodule_has_worktrees_of_its_own(host: Host, place: Path) -> None:
    repository(place / "part")
    whole = repository(place / "whole")
    git(whole, "submodule", "add", "-q", str(place / "part"), "part")
    git(whole, "commit", "-qm", "with a part")
    task = await work(host, COMMIT, "whole/part")
    assert git(whole / "part", "show", f"{task['workspace']['branch']}:a.txt") == "one\nmore\n"


async def test_a_branch_that_the_person_has_moved_is_left_alone(host: Host, project: Path) -> None:
    task = await work(host, COMMIT)
    branch = task["workspace"]["branch"]
    git(project, "update-ref", f"refs/heads/{branch}", "main")
    await host.call("send_message", id=task["id"], message="$ git commit -q --allow-empty -m again")
    task = await host.until(task["id"], "completed")
    assert tip(project, branch) == tip(project, "main")
    assert "somebody else has moved the branch" in task["workspace"]["problem"]


async def test_a_branch_that_the_person_has_checked_out_is_left_alone(host: Host, project: Path) -> None:
    task = await work(host, COMMIT)
    branch = task["workspace"]["branch"]
    git(project, "worktree", "add", "-q", str(project.parent / "review"), branch)
    await host.call("send_message", id=task["id"], message="$ git commit -q --allow-empty -m again")
    task = await host.until(task["id"], "completed")
    assert tip(project, branch) != task["workspace"]["headCommit"]
    assert "checked out" in task["workspace"]["problem"]
    assert git(project.parent / "review", "status", "--porcelain") == ""


async def test_a_repository_that_is_gone_fails_the_task_and_says_so(host: Host, place: Path) -> None:
    folder = repository(place / "gone")
    task_id, call_id = await host.waiting("$ true", workspace={"path": "gone"})
    folder.rename(place / "elsewhere")
    await host.decide(task_id, call_id, "proceed_once")
    task = await host.until(task_id, "failed")
    assert "the repository is not where it was" in task["error"]


async def test_work_in_progress_is_made_of_every_kind_of_change(place: Path) -> None:
    folder = repository(place / "sample")
    in_progress(folder)
    assert projects.git(folder, "status", "--porcelain").split() == ["M", "a.txt", "A", "staged.txt", "??", "new.txt"]
