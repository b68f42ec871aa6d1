"""The composition root: creates the server's parts and connects them."""

import logging
import os
import pwd
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import uuid4

import anyio
from anyio import to_thread

from server import logs
from server.agents.acp.profiles import acp_agents
from server.agents.interface import Agent
from server.agents.llm.agent import LlmAgent
from server.agents.shell.agent import ShellAgent
from server.backups.replacement import recover
from server.backups.schedule import BackupFolder, Schedule
from server.config import BackupSettings, Settings, load
from server.daemon import listener
from server.daemon.connection import Connection, Peer
from server.daemon.file_systems import refuse_remote
from server.daemon.listener import Load
from server.daemon.ownership import Ownership
from server.daemon.paths import DATABASE, find_state_paths, settings_checksums, settings_digest
from server.daemon.window_settings import not_in_force, stricter
from server.errors import Code, RemitError
from server.mcp.server import McpServer
from server.mcp.subtask_server import SubtaskServer
from server.runner.detection import SandboxProvider
from server.runner.network.hosts import HostRule
from server.runner.programs.copies import copy_programs
from server.runner.tiers.scratch import Scratch
from server.runner.workspace.workspaces import SweepReport, Workspaces
from server.tasks.background import serve_awaiting, serve_expiry, serve_propagation
from server.tasks.callers import Caller
from server.tasks.delegation.service import DelegationService
from server.tasks.execution.leftovers import end_leftovers
from server.tasks.execution.scheduler import Scheduler
from server.tasks.secrets import sources
from server.tasks.secrets.vault import SecretVault
from server.tasks.service import TaskService
from server.tasks.services import Services
from server.tasks.workspaces import pairing, set_aside
from server.tasks.workspaces.selection import Folders
from server.tasks.workspaces.worktrees import Worktrees
from server.version import VERSION
from storage.database_files import SHM, WAL, check, inspect, open_store, was_left_open
from storage.interface import Store
from storage.records.recovery import Recovery
from storage.records.states import Status
from storage.records.tasks import Principal

_log = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
"""Seconds for a database check after a crash: enough for some gigabytes, unless the disk is slow."""

INLINE_NOTICE = "this server lives in the window that started it (REMIT_SERVER=inline): tasks end when it closes"


class App:
    """The application that the daemon serves."""

    def __init__(
        self, store: Store, vault: SecretVault, scheduler: Scheduler, mcp_server: McpServer, settings: Settings
    ) -> None:
        self._store = store
        self._vault = vault
        self._scheduler = scheduler
        self._mcp_server = mcp_server
        self._strictness = {"approvals": settings.approvals, "always": settings.always}
        self._variables = settings_checksums()

    async def serve(self, connection: Connection) -> None:
        """Serve MCP on one connection until it ends."""
        await self._mcp_server.serve(connection, self._caller(connection.peer))

    def _caller(self, peer: Peer) -> Caller:
        return replace(
            caller(peer.role == "terminal", peer.cwd),
            person_only=stricter(peer.person_only, self._strictness),
            settings_not_in_force=not_in_force(peer.variables, peer.person_only, self._variables),
        )

    async def load(self) -> Load:
        """Return the current load."""
        counts = await self._store.open_counts()
        pending = counts.get(Status.PENDING, 0)
        waiting = sum(counts.values()) - counts.get(Status.RUNNING, 0) - pending
        return Load(running=self._scheduler.running + pending, waiting=waiting, secrets_held=self._vault.held)


def main(*, ready: Callable[[], None], inline: bool = False) -> None:
    """Run the server in this process until it is asked to stop; `ready` is called once it listens.

    With `inline`, it runs in the process of a host's window, and new tasks get a warning that they end with it.
    """
    paths = find_state_paths()
    paths.prepare()
    refuse_remote(paths.state)
    with Ownership(paths) as ownership:
        settings = load(Path(paths.config))
        logs.configure(paths, settings.log_format)
        listener.harden()
        anyio.run(_serve, ownership, settings, ready, inline)


async def _serve(ownership: Ownership, settings: Settings, ready: Callable[[], None], inline: bool) -> None:
    state = Path(ownership.paths.state)
    async with build(state, settings, [INLINE_NOTICE] if inline else []) as app:
        for suffix in ("", WAL, SHM):  # SQLite's own files: it makes them at its first reading
            ownership.keep(f"{state / DATABASE}{suffix}")
        await listener.serve(
            app,
            ownership=ownership,
            version=VERSION,
            settings_digest=settings_digest(),
            idle_exit=settings.idle_exit,
            ready=ready,
        )


@asynccontextmanager
async def build(state: Path, settings: Settings, notices: list[str]) -> AsyncIterator[App]:
    """Create the whole server but its socket, and run it within the block; everything it runs has ended afterwards."""
    workspaces = Workspaces(state / "workspaces")
    if recovered := await to_thread.run_sync(recover, state):
        _log.warning("%s", recovered)
    adopt = await to_thread.run_sync(pairing.check, state / DATABASE, workspaces)
    await to_thread.run_sync(_check, state / DATABASE)
    async with open_store(state / DATABASE) as store:
        scratch = Scratch(state / "scratch")
        leftovers = await store.leftovers()
        await to_thread.run_sync(end_leftovers, leftovers, state)
        await set_aside.tell_interrupted(store, leftovers, await to_thread.run_sync(scratch.sweep))
        swept = await pairing.arrange(store, workspaces, adopt=adopt)
        _tell(await store.recover(), swept, workspaces)
        vault = SecretVault(settings.secrets)
        backups = _backups(state, await store.maintenance.identity(), settings.backup)
        private = (
            state,
            Path(find_state_paths().config),
            *([settings.backup.folder] if settings.backup.folder else []),
        )
        programs = await to_thread.run_sync(copy_programs, state / "programs")
        provider = SandboxProvider(settings.sandbox, scratch, private, programs)
        agents = _agents(settings)
        await _check_default(settings, agents)
        services = Services(
            store=store,
            settings=settings,
            agents=agents,
            vault=vault,
            sandbox=provider.sandbox,
            workspaces=workspaces,
            worktrees=Worktrees(store, provider.sandbox, workspaces, settings),
            folders=Folders(settings.workspaces, private),
        )
        subtask_server = SubtaskServer(VERSION)
        scheduler = Scheduler(services, subtask_server, owner=str(uuid4()))
        tasks = TaskService(services, scheduler, notices)
        subtask_server.set_service(DelegationService(tasks, services))
        store.changes.on_end(vault.drop)
        async with anyio.create_task_group() as group:
            group.start_soon(scheduler.serve)
            group.start_soon(serve_propagation, store, scheduler)
            group.start_soon(serve_awaiting, store, scheduler)
            group.start_soon(serve_expiry, store, scheduler)
            group.start_soon(tasks.maintenance.serve)
            if backups:
                group.start_soon(backups.serve)
            group.start_soon(services.worktrees.conclude_ended)
            yield App(store, vault, scheduler, McpServer(tasks, VERSION), settings)
            group.cancel_scope.cancel()


def _backups(state: Path, identity: str, settings: BackupSettings) -> Schedule | None:
    if settings.folder is None:
        return None
    return Schedule(BackupFolder(state, identity, settings), with_folders=settings.folders)


def _check(database: Path) -> None:
    """Check the database for damage if its server, or the machine, crashed. Raises RemitError (EXECUTION_ERROR)."""
    if inspect(database) and was_left_open(database) and not check(database, CHECK_SECONDS):
        _log.warning("the database is large: %g s were not enough to look at all of it for damage", CHECK_SECONDS)


def caller(person: bool, folder: Path | None) -> Caller:
    """Return the caller: the user whose server this is, since nobody else can connect."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may run as a user it has no name for
        name = str(uid)
    return Caller(Principal("local", name), person=person, folder=folder)


def _agents(settings: Settings) -> dict[str, Agent]:
    for agent in settings.agents.all.values():
        for host in () if isinstance(agent.network, str) else agent.network:
            HostRule.parse(host)
    llm = LlmAgent(settings.agents.llm, settings.mcp_servers, partial(_model_key, settings))
    programs = acp_agents(settings, VERSION)
    agents: list[Agent] = [ShellAgent(), llm, *programs]
    return {agent.id: agent for agent in agents}


async def _check_default(settings: Settings, agents: Mapping[str, Agent]) -> None:
    """Refuse to start with a default agent that is not ready. Raises RemitError (VALIDATION_ERROR)."""
    name = settings.default_agent
    if needs := (await agents[name].readiness()).needs:
        raise RemitError(Code.VALIDATION_ERROR, f"settings: default_agent names {name!r}, which is not ready: {needs}")


async def _model_key(settings: Settings) -> str | None:
    source = settings.agents.llm.api_key
    return None if source is None else await sources.read("agents.llm.api_key", source)


def _tell(recovery: Recovery, swept: SweepReport, workspaces: Workspaces) -> None:
    """Log what became of a dead server's tasks, none of which runs any more, and of their folders."""
    if recovery.interrupted or recovery.resumed or recovery.blocked or swept.deleted:
        _log.info(
            "after a server that died: %d tasks interrupted, %d go on, %d wait for their secrets, %d folders removed",
            len(recovery.interrupted),
            len(recovery.resumed),
            len(recovery.blocked),
            len(swept.deleted),
        )
    if swept.lost:
        _log.warning(
            "%d folders of tasks that the database does not know were set aside in %s",
            len(swept.lost),
            workspaces.lost.root,
        )
    if swept.returned:
        _log.info("%d folders that had been set aside are back in their places", len(swept.returned))
