"""The shared parts of a server as tests of the service layer want them: everything has a default."""

from typing import Any

from server.config import Settings
from server.errors import Code, RemitError
from server.runner.sandbox import Sandbox
from server.runner.workspace.workspaces import Workspaces
from server.tasks.secrets.vault import SecretVault
from server.tasks.services import Services
from server.tasks.workspaces.selection import Folders
from server.tasks.workspaces.worktrees import Worktrees
from storage.interface import Store


async def no_sandbox() -> Sandbox:
    raise RemitError(Code.SANDBOX_UNAVAILABLE, "there is none in this test")


def services(store: Store, workspaces: Workspaces, **settings: Any) -> Services:
    """Shared parts with no agent and no sandbox: whatever is started fails at once."""
    set_so = Settings(**settings)
    return Services(
        store=store,
        settings=set_so,
        agents={},
        vault=SecretVault({}),
        sandbox=no_sandbox,
        workspaces=workspaces,
        worktrees=Worktrees(store, no_sandbox, workspaces, set_so),
        folders=Folders((), ()),
    )
