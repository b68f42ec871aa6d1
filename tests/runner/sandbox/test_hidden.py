"""Files of the server's own, which no command sees."""

from dataclasses import replace
from pathlib import Path

import pytest

from server.errors import RemitError
from tests.runner.commands import run
from tests.runner.sandbox.test_commands import shell


@pytest.fixture
def covering(workspace: Path) -> Path:
    """A folder that holds a state folder, its settings, and a workspace in the former."""
    for name in ("state/workspaces/own", "state/homes"):
        (workspace / name).mkdir(parents=True)
    for name in ("state/remit.db", "settings.toml", "state/workspaces/own/mine", "beside"):
        (workspace / name).write_text(f"content of {name}\n")
        (workspace / name).chmod(0o644)
    return workspace


def hidden(folder: Path) -> tuple[str, ...]:
    return str(folder / "state"), str(folder / "settings.toml"), str(folder / "missing")


@pytest.mark.namespaces
async def test_they_are_empty_where_a_folder_holds_them(covering: Path) -> None:
    script = "ls -A state; cat settings.toml beside; touch state/x settings.toml; echo x > settings.toml"
    request = replace(shell("namespaces", covering, script), hidden=hidden(covering))
    ran = await run(request)
    assert ran.output.splitlines()[0] == "content of beside"
    assert "Read-only file system" in ran.output
    assert (covering / "settings.toml").read_text() == "content of settings.toml\n"
    assert not (covering / "state/x").exists()


@pytest.mark.namespaces
async def test_a_workspace_within_them_is_there(covering: Path) -> None:
    own = covering / "state/workspaces/own"
    request = replace(
        shell("namespaces", own, f"cat mine; echo x > new; ls {covering}/state {covering}/state/workspaces"),
        hidden=hidden(covering),
        readable=(str(covering),),
    )
    ran = await run(request)
    assert (
        ran.output
        == f"content of state/workspaces/own/mine\n{covering}/state:\nworkspaces\n\n{covering}/state/workspaces:\nown\n"
    )
    assert (own / "new").read_text() == "x\n"


async def test_the_landlock_tier_gives_no_folder_that_holds_them(covering: Path) -> None:
    request = replace(shell("landlock", covering, "ls state"), hidden=hidden(covering))
    with pytest.raises((RemitError, AssertionError), match="keeps for itself"):
        await run(request)


async def test_a_folder_beside_them_is_given_in_every_tier(confining: str, covering: Path) -> None:
    request = replace(shell("namespaces", covering / "state/homes", "true"), hidden=(str(covering / "state/remit.db"),))
    assert (await run(replace(request, tier="namespaces" if confining == "namespaces" else "landlock"))).status == 0
