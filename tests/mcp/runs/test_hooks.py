"""A task cannot plant what a person's tools would execute."""

from pathlib import Path

import pytest

from tests.servers import Host, script

INIT = "git init -q . && git config user.email a@b && git config user.name a && touch .envrc"
WRITE = """
for f in .git/hooks/pre-commit .git/config .envrc; do echo x >> $f && echo wrote $f; done
touch ok && git add ok && git commit -qm ok && echo committed
"""
MOVE_AWAY = """
mv .git moved && mkdir -p .git/hooks
mv .git/hooks hooks; rm -rf .git/hooks; mkdir -p .git/hooks; ln -s /tmp .git/hooks/x
echo x > .git/hooks/pre-commit; git config core.hooksPath elsewhere
true
"""


@pytest.mark.namespaces
async def test_hooks_and_settings_of_a_repository_are_read_only(host: Host) -> None:
    task = await host.done(script(INIT))
    await host.call("send_message", id=task["id"], message=script(f"exec 2>/dev/null; {WRITE}"))
    assert (await host.until(task["id"], "completed"))["output"]["content"] == "committed\n"


@pytest.mark.namespaces
async def test_protected_folders_cannot_be_moved_out_of_the_way(host: Host, shared_home: Path) -> None:
    task = await host.done(script(INIT))
    git = shared_home / "workspaces" / task["id"] / ".git"
    settings = (git / "config").read_bytes()
    await host.call("send_message", id=task["id"], message=script(MOVE_AWAY))
    await host.until(task["id"], "completed")
    assert (git / "HEAD").exists()
    assert (git / "config").read_bytes() == settings
    assert not {"pre-commit", "x"} & {entry.name for entry in (git / "hooks").iterdir()}


async def test_a_task_may_say_that_it_writes_hooks(host: Host) -> None:
    task = await host.done(script(INIT), allowHooks=True)
    await host.call("send_message", id=task["id"], message="$ echo x > .git/hooks/pre-commit && echo wrote")
    task = await host.until(task["id"], "completed")
    assert (task["output"]["content"], task["allowHooks"]) == ("wrote\n", True)
