"""A worktree made, worked in, looked at and carried over in one tier of the sandbox; a program for an ordinary user."""

import json
import sys
from pathlib import Path
from typing import cast

import anyio

from server.runner.git.repository import find_repository
from server.runner.policy import Command, SandboxPolicy
from server.runner.worktrees.branch import Branch
from server.runner.worktrees.worktree import Worktree, is_committed
from server.tier_names import Wanted
from tests.runner.commands import sandbox_of
from tests.tasks.workspaces.projects import git, in_progress, repository, tip
from tests.tasks.workspaces.test_worktree import COMMIT


async def worked(tier: Wanted, folder: Path) -> dict[str, object]:
    """Return what comes of it, with the sub-folders `project`, `task` and `stage` made here."""
    project = repository(folder / "project")
    found = await find_repository(project)
    assert found
    sandbox = await sandbox_of(tier)
    for name in ("task", "stage"):
        (folder / name).mkdir()
    policy = SandboxPolicy(workspace=folder / "task")
    committed = await is_committed(found, sandbox, policy)
    in_progress(project)
    worktree = Worktree(found, folder / "task", sandbox, policy)
    branch = Branch(found, "remit/task", sandbox, policy)
    await branch.make(found.base)
    await worktree.make("remit/task", found.base, folder / "stage")

    async def output(chunk: bytes) -> None:
        said.extend(chunk)

    async def started(_: object) -> None: ...

    said = bytearray()
    own = SandboxPolicy(workspace=worktree.tree, readable=tuple(map(Path, found.objects)))
    command = Command(argv=("/bin/sh", "-c", f"touch {project}/x {found.git}/x; {COMMIT}; echo x > new"), env={})
    ended = await sandbox.run(command, own, started=started, output=output)
    finding = await worktree.look()
    await worktree.bring(finding.head, found.base, branch, folder / "stage")
    await branch.move(finding.head, found.base)
    return {
        "status": ended.status,
        "committed": [committed, await is_committed(found, sandbox, policy)],
        "dirty": finding.dirty,
        "files": finding.files,
        "carried": tip(project, "remit/task") == finding.head,
        "sound": git(project, "fsck", "--strict"),
        "written": [str(path) for path in (project / "x", Path(found.git, "x")) if path.exists()],
    }


if __name__ == "__main__":
    print(json.dumps(anyio.run(worked, cast(Wanted, sys.argv[1]), Path(sys.argv[2]))))
