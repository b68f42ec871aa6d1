"""The settings and hooks of a task's own worktree, which the person may work in: in whichever tier there is here."""

from pathlib import Path

import pytest

from tests.servers import Host, script
from tests.tasks.workspaces.projects import git, names, shell

HOOK = "printf '#!/bin/sh\\ntouch {mark}\\n' > .git/hooks/{name} && chmod +x .git/hooks/{name}"
TRAPS = {
    "a setting": ("git config core.fsmonitor 'touch {mark}; false'", "git status || true"),
    "a hook": (HOOK.replace("{name}", "pre-commit"), "git commit -q --allow-empty -m x"),
    "settings of the worktree alone": (
        "git config extensions.worktreeConfig true && git config --worktree core.fsmonitor 'touch {mark}; false'",
        "git status || true",
    ),
    "settings from elsewhere": (
        "git config -f more core.fsmonitor 'touch {mark}; false'; git config include.path ../more",
        "git status || true",
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
async def test_what_a_task_writes_there_does_not_run_when_the_person_uses_git(
    host: Host, project: Path, place: Path, trap: str
) -> None:
    made, used = (text.replace("{mark}", str(place / "mark")) for text in TRAPS[trap])
    shell(project, f"git init -q ../tried; cd ../tried; mkdir -p .git/hooks; {made}; {used}")
    assert (place / "mark").exists(), "the trap was none"
    (place / "mark").unlink()
    task = await host.done(script(f"{made}\ntrue"), workspace={"path": "project"})
    shell(Path(task["workspace"]["folder"]), used)
    assert not (place / "mark").exists()


async def test_settings_that_execute_nothing_stay(host: Host, project: Path) -> None:
    lines = "git checkout -qb side && git commit -q --allow-empty -m x && git stash list"
    task = await host.done(script(lines), workspace={"path": "project"})
    tree = Path(task["workspace"]["folder"])
    assert "set aside" not in task["workspace"].get("problem", "")
    assert (git(tree, "config", "gc.auto"), names(tree / ".git", "*aside*")) == ("0\n", set())
