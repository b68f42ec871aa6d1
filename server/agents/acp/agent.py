"""An agent that is a program in the sandbox and speaks the Agent Client Protocol."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from anyio import to_thread
from pydantic import ByteSize

from server.agents.acp.profile import Profile
from server.agents.acp.run import AcpRun
from server.agents.acp.session import SessionTerms
from server.agents.installation import Installation, find
from server.agents.interface import Program, Readiness, Turn
from server.agents.mcp.servers import Local, Remote, resolve
from server.config import OWN_NAME, AcpSettings, McpServerSettings, Settings
from server.errors import Code, RemitError
from server.runner.network.callback import RelayProgram

# Where any program looks for its settings, and what it loads into itself.
_STEERING = ("HOME", "PATH", "XDG_*", "LD_*", "NODE_*", "BUN_*")


class AcpAgent:
    """An agent that does tasks with the program of a profile, as configured in the settings."""

    speaks = True

    def __init__(self, profile: Profile, own: AcpSettings, settings: Settings, version: str) -> None:
        """Create the agent of a profile.

        `own` are the agent's settings, `settings` all settings; `version` is this server's.
        """
        self.id = profile.id
        self.description = profile.description
        self._profile = profile
        self._settings = own
        self._servers = settings.mcp_servers
        self._memory = (own.limits or settings.limits).memory
        self._version = version

    async def readiness(self, variables: Collection[str] = ()) -> Readiness:
        """Return whether it is installed, has a key, and has enough memory.

        A key among the task's own variables counts only if the agent's settings open a network; its host is not open
        otherwise.
        """
        try:
            installation = await self._located()
        except RemitError as error:
            return Readiness(needs=error.message, notes=self._profile.notes)
        return Readiness(
            needs=self._missing_memory() or self._missing_key(variables),
            version=installation.version,
            notes=self._profile.notes,
        )

    def check(self, message: str) -> Sequence[str]:
        """Accept any message."""
        return ()

    async def work(self, turn: Turn) -> None:
        """Do the turn with its own process, which stays while a call waits for approval."""
        await turn.set_process_bound(await turn.recall() is None)
        installation = await self._located()
        if needed := self._missing_memory():
            raise RemitError(Code.AGENT_UNAVAILABLE, f"the agent needs {needed}")
        await turn.unlock()
        servers = resolve(turn.mcp_servers, self._servers, turn.fill_in)
        _check_lists(servers)
        places = {server.name: await _located(server) for server in servers if isinstance(server, Local)}
        program = self._program(turn, installation, servers, places)
        terms = self._terms(turn, [_placed(server, places) for server in servers])
        async with turn.talk(program) as process_io:
            if process_io.relay:
                terms = replace(terms, servers=[*terms.servers, _own(process_io.relay)])
            await AcpRun(turn, process_io, terms).work()

    async def _located(self) -> Installation:
        command = self._settings.command or self._profile.command
        try:
            return await to_thread.run_sync(self._profile.locate, command)
        except RemitError as error:
            advice = f"{self._profile.install}, or name its command in [agents.{self.id}]"
            raise RemitError(error.code, f"{error.message}: {advice}") from None

    def _program(
        self,
        turn: Turn,
        installation: Installation,
        servers: Sequence[Remote | Local],
        places: Mapping[str, Installation],
    ) -> Program:
        return Program(
            argv=installation.argv,
            env={**self._profile.env, **self._variables(turn)},
            readable=tuple(path for place in (installation, *places.values()) for path in place.readable),
            hosts=(*self._hosts(), *(host for server in servers for host in server.hosts)),
            hands_on=True,
            steered_by=(*_STEERING, *self._profile.steered_by),
            home=self._profile.home,
        )

    def _terms(self, turn: Turn, servers: Sequence[Remote | Local]) -> SessionTerms:
        return SessionTerms(
            workspace=turn.workspace,
            servers=servers,
            system_prompt=None if self._profile.takes_system_prompt else turn.system_prompt,
            resume=self._settings.resume is not False,
            meta=self._profile.meta(turn.system_prompt),
            mode=self._profile.mode,
            advice=self._profile.advice,
            auth_method=self._profile.auth_method,
            version=self._version,
        )

    def _variables(self, turn: Turn) -> dict[str, str]:
        """Return the settings' variables, resolved. Raises RemitError (TEMPLATE_ERROR) that names the variable."""
        filled_in = {}
        for name, text in self._settings.env.items():
            try:
                filled_in[name] = turn.fill_in(text)
            except RemitError as error:
                raise RemitError(error.code, f"agents.{self.id}.env.{name}: {error.message}", **error.details) from None
        return filled_in

    def _hosts(self) -> tuple[str, ...]:
        """Return the hosts of its models; none if the settings define its network."""
        if self._sets_network:
            return ()
        return tuple(dict.fromkeys(self._profile.keys[key] for key in self._keys()))

    @property
    def _sets_network(self) -> bool:
        """Whether the settings define its network."""
        return "network" in self._settings.model_fields_set

    def _keys(self) -> list[str]:
        given = {*self._settings.secrets, *self._settings.env}
        return [key for key in self._profile.keys if key in given]

    def _missing_memory(self) -> str | None:
        least = self._profile.least_memory
        if self._memory >= least:
            return None
        return f"memory: at least {ByteSize(least).human_readable()} in [agents.{self.id}.limits] or [limits]"

    def _missing_key(self, variables: Collection[str]) -> str | None:
        brought = variables if self._sets_network else ()
        if (
            not self._profile.keys
            or self._keys()
            or not self._profile.keys.keys().isdisjoint(brought)
            or not self._settings.env.keys().isdisjoint(self._profile.is_set_up_by)
        ):
            return None
        first, *_ = self._profile.keys
        known = " or ".join(self._profile.keys)
        return (
            f"a key, {known}: add it to the settings as a secret, [secrets.{first}], and name that in "
            f'[agents.{self.id}]: secrets = ["{first}"]'
        )


def _own(relay: RelayProgram) -> Local:
    """Return this server's sub-task tools as an MCP server for the agent."""
    settings = McpServerSettings(command=relay.argv[0])
    return Local(name=OWN_NAME, settings=settings, argv=relay.argv, env=relay.env, hosts=())


def _check_lists(servers: Sequence[Remote | Local]) -> None:
    """Refuse lists of allowed tools, which cannot be enforced: the agent program itself calls the tools."""
    for server in servers:
        if server.settings.allow is not None or server.settings.deny:
            raise RemitError(
                Code.AGENT_UNAVAILABLE,
                f"mcp_servers.{server.name}: this agent calls tools itself, so lists of allowed and denied ones "
                "cannot be held; name the server without them, or choose the agent llm",
                mcpServer=server.name,
            )


async def _located(server: Local) -> Installation:
    try:
        return await to_thread.run_sync(find, server.argv)
    except RemitError as error:
        raise RemitError(error.code, f"mcp_servers.{server.name}: {error.message}", mcpServer=server.name) from None


def _placed(server: Remote | Local, places: Mapping[str, Installation]) -> Remote | Local:
    return replace(server, argv=places[server.name].argv) if isinstance(server, Local) else server
