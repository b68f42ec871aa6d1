"""Services: what several parts of the service layer share. Made once, by `server.app.build`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from server.agents.interface import Agent
from server.config import Settings
from server.runner.sandbox import Sandbox
from server.runner.workspace.workspaces import Workspaces
from server.tasks.secrets.vault import SecretVault
from server.tasks.workspaces.selection import Folders
from server.tasks.workspaces.worktrees import Worktrees
from storage.interface import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The shared parts of one server. Who needs only one or two of them is given these instead."""

    store: Store
    settings: Settings
    agents: Mapping[str, Agent]
    """The agents by their ids."""

    vault: SecretVault
    sandbox: Callable[[], Awaitable[Sandbox]]
    """Returns the sandbox. Raises RemitError (SANDBOX_UNAVAILABLE): while none works on this machine."""

    workspaces: Workspaces
    worktrees: Worktrees
    folders: Folders
