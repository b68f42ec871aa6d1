"""The operator's settings: a TOML file, overridden by `REMIT_*` variables."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from server import patterns
from server.errors import Code, RemitError
from server.json_text import is_whole
from server.limits import DAY, LEAST_MEMORY, LEAST_OPEN_FILES, LONGEST_TIMEOUT, MAX_SUBTASKS, MIB
from server.plain_words import in_words
from server.runner.policy import Limits
from server.tier_names import Wanted

OWN_NAME = "remit"
"""The name by which agents know this server, among the MCP servers of the settings."""


def _refused_as(words: str) -> WrapValidator:
    """Return a validator that says what a value of one of several types must be, instead of one error per type."""

    def check(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError:
            raise ValueError(words) from None

    return WrapValidator(check)


_LEAST_KEPT, _MOST_KEPT = 3600, 36525 * DAY
Kept = Annotated[
    Annotated[int, Field(ge=_LEAST_KEPT, le=_MOST_KEPT)] | Literal["forever"],
    _refused_as(f"must be a whole number of seconds, {_LEAST_KEPT} to {_MOST_KEPT}, or 'forever'"),
]
Network = Annotated[Literal["none", "full"] | tuple[str, ...], _refused_as("must be 'none', 'full' or a list of hosts")]
LocalNetwork = Annotated[Literal["none"] | tuple[str, ...], _refused_as("must be 'none' or a list of hosts")]

# Read by the launcher before there are settings: see server/daemon/paths.py.
_LAUNCHER_VARIABLES = frozenset({"REMIT_HOME", "REMIT_CONFIG", "REMIT_SERVER"})


class SecretSource(BaseModel):
    """The source of a named secret's value: exactly one of the three."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path | None = Field(None, description="a file that holds the value; one line break at its end is dropped")
    command: tuple[str, ...] | None = Field(None, description="a command that prints the value", min_length=1)
    keyring: str | None = Field(
        None, description="SERVICE/USER in the system's keyring", pattern=patterns.KEYRING_ENTRY
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(source is not None for source in (self.file, self.command, self.keyring)) != 1:
            raise ValueError("give exactly one of file, command and keyring")
        return self


_LIMITS = Limits()


class LimitSettings(BaseModel):
    """Limits of one command with all processes that it starts. Sizes are bytes, or text like "4GiB"."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory: ByteSize = Field(ByteSize(_LIMITS.memory_bytes), ge=LEAST_MEMORY, description="memory of the whole tree")
    processes: int = Field(_LIMITS.processes, ge=1, description="processes and threads of the whole tree")
    open_files: int = Field(_LIMITS.open_files, ge=LEAST_OPEN_FILES, description="descriptors of each process")
    file_size: ByteSize = Field(ByteSize(_LIMITS.file_bytes), ge=MIB, description="each file it writes")
    tmp_size: ByteSize = Field(ByteSize(_LIMITS.tmp_bytes), ge=MIB, description="each of /tmp, HOME and /dev/shm")
    workspace_size: ByteSize = Field(
        ByteSize(_LIMITS.workspace_bytes), ge=MIB, description="all of the task's workspace"
    )
    free_space: ByteSize = Field(
        ByteSize(_LIMITS.free_bytes), ge=0, description="left on each disk it writes to, by anyone"
    )
    cpu_seconds: int = Field(_LIMITS.cpu_seconds, ge=1, description="processor time of the whole tree")


class SubtaskSettings(BaseModel):
    """Limits of sub-tasks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    depth: int = Field(3, ge=0, le=20, description="levels beneath the first task")
    count: int = Field(
        MAX_SUBTASKS, ge=0, le=100_000, description="tasks beneath the first task, on all levels together"
    )
    max_running: int = Field(10, ge=1, le=1000, description="sub-tasks of one task at work at the same time")


SecretName = Annotated[str, Field(pattern=patterns.NAME)]
McpName = Annotated[str, Field(pattern=patterns.MCP_NAME)]


class RetentionSettings(BaseModel):
    """The times for which a task and its data are kept after its end: seconds, or "forever".

    An hour at least, so that callers that wait for a task, or page through its log, have finished by then.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: Kept = Field(30 * DAY, description="the task itself, with its messages, calls and output")
    events: Kept = Field(7 * DAY, description="its event log; the output stays")
    workspaces: Kept = Field(7 * DAY, description="its folder, with all files")


class BackupSettings(BaseModel):
    """Backups that the server writes by itself; none without a folder.

    Off by default: the owner decides where a copy of all requests and results may be, and deleted data lives on in a
    backup for as long as that is kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path | None = Field(None, description="where they are put, best on another disk")
    interval: int = Field(DAY, ge=3600, le=365 * DAY, description="seconds from one to the next")
    keep: int = Field(7, ge=1, le=1000, description="how many of them are kept")
    folders: bool = Field(False, description="whether the folders of tasks are taken along")

    @field_validator("folder")
    @classmethod
    def _named_in_full(cls, folder: Path | None) -> Path | None:
        expanded = folder and folder.expanduser()
        if expanded and not expanded.is_absolute():
            raise ValueError(f"{expanded} is not absolute")
        return expanded


class AgentSettings(BaseModel):
    """The access and the resources of an agent's commands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: Network = Field(
        "none", description='"none", "full", or the hosts it may reach, like "api.example.com" or "*.example.com:8443"'
    )
    readable: tuple[Path, ...] = Field((), description="further files and folders its commands may read")
    limits: LimitSettings | None = Field(None, description="its own limits, in place of those for all")
    secrets: tuple[SecretName, ...] = Field((), description="the secrets by name that each of its tasks has")
    mcp_servers: tuple[McpName, ...] = Field((), description="the MCP servers that each of its tasks has at hand")
    delegate: bool = Field(False, description="whether its tasks may hand on sub-tasks")
    delegates_to: tuple[str, ...] = Field((), description="the agents it may hand them to, besides itself")


class LlmSettings(AgentSettings):
    """The built-in agent, which uses a language model."""

    model: str | None = Field(
        None, description='"PROVIDER:NAME" as pydantic-ai knows them, like "openai:gpt-5"', pattern=patterns.MODEL
    )
    base_url: str | None = Field(None, description="where the provider's API is, if not at its usual place")
    api_key: SecretSource | None = Field(None, description="the model's key; it stays in the server")
    max_requests: int = Field(50, ge=1, le=10_000, description="requests to the model in one turn")
    max_tokens: int | None = Field(None, ge=1, description="tokens of a turn, those of its requests included")
    delegate: bool = Field(True, description="whether its tasks may hand on sub-tasks")


class AcpSettings(AgentSettings):
    """A program that speaks the Agent Client Protocol."""

    command: tuple[str, ...] | None = Field(None, description="the program and its arguments", min_length=1)
    env: dict[SecretName, str] = Field(
        default_factory=dict, description="variables, in which <<mcp.KEY>> stands for the task's KEY"
    )
    resume: bool | None = Field(None, description="whether it can load a session again, if it says it can")
    delegate: bool = Field(True, description="whether its tasks may hand on sub-tasks")


class AgentTable(BaseModel):
    """The agents by name: built-in ones, shipped profiles, and the operator's own programs."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, AcpSettings]

    shell: AgentSettings = Field(default_factory=AgentSettings, description="runs commands, no model")
    llm: LlmSettings = Field(default_factory=LlmSettings, description="a model")
    claude: AcpSettings = Field(default_factory=AcpSettings, description="Claude Code")
    opencode: AcpSettings = Field(default_factory=AcpSettings, description="OpenCode")

    @property
    def custom(self) -> dict[str, AcpSettings]:
        """The operator's own programs, by name."""
        return dict(self.__pydantic_extra__)

    @property
    def all(self) -> dict[str, AgentSettings]:
        """The settings of every agent, by name."""
        return {**{name: getattr(self, name) for name in type(self).model_fields}, **self.custom}

    def of(self, agent_id: str) -> AgentSettings:
        """Return the settings of one agent; the defaults for one that no longer exists."""
        return self.all.get(agent_id) or AgentSettings()

    @model_validator(mode="after")
    def _custom_ones_are_programs(self) -> Self:
        for name, agent in self.custom.items():
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", name) or name == "none":
                raise ValueError(
                    f"{name!r} is no name for an agent: use lower-case letters, digits, - and _, not 'none'"
                )
            if agent.command is None:
                known = ", ".join(type(self).model_fields)
                raise ValueError(f"{name}: set its command, or use the name of a shipped agent ({known})")
        return self

    @model_validator(mode="after")
    def _delegates_are_known(self) -> Self:
        for name, agent in self.all.items():
            if unknown := [other for other in agent.delegates_to if other not in self.all]:
                raise ValueError(
                    f"{name}: delegates_to names {unknown[0]!r}, which is no agent (known: {', '.join(self.all)})"
                )
        return self


class McpServerSettings(BaseModel):
    """An MCP server that agents may use: remote by `url`, or local by `command`, which runs in the sandbox.

    `<<mcp.KEY>>` in url, headers, args and env stands for the task's KEY.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = Field(None, description="of a remote one, spoken to over streamable HTTP")
    headers: dict[str, str] = Field(default_factory=dict, description="for the remote one")
    command: str | None = Field(None, description="the program of a local one")
    args: tuple[str, ...] = Field((), description="its arguments")
    env: dict[SecretName, str] = Field(default_factory=dict, description="its variables")
    network: LocalNetwork = Field("none", description="the hosts a local one may reach")
    allow: tuple[str, ...] | None = Field(None, description="the only tools of it to be used, by name")
    deny: tuple[str, ...] = Field((), description="tools of it not to be used, by name")
    timeout: float = Field(60, gt=0, le=3600, description="seconds that one call of it may take")

    @model_validator(mode="after")
    def _exactly_one_place(self) -> Self:
        if (self.url is None) == (self.command is None):
            raise ValueError("give exactly one of url and command")
        local, remote = bool(self.args or self.env or self.network != "none"), bool(self.headers)
        if (self.url and local) or (self.command and remote):
            raise ValueError("headers go with url; args, env and network go with command")
        return self


class Settings(BaseSettings):
    """Every setting with its default. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="REMIT_", env_nested_delimiter="__", extra="forbid", frozen=True)

    max_running: int = Field(2 * (os.cpu_count() or 1), ge=1, le=1000, description="tasks at work at the same time")
    approvals: Literal["caller", "person"] = Field(
        "caller", description="who may approve: whoever may call the tool, or only a person at a terminal"
    )
    always: Literal["caller", "person"] = Field(
        "caller", description="who may approve for always, where the caller may approve: as well, or only a person"
    )
    approval_expires: int | None = Field(None, ge=1, description="seconds until an unanswered approval means no")
    session_expires: int = Field(DAY, ge=1, description="seconds a session, and its grants, outlive a message")
    timeout: int = Field(3600, ge=1, le=LONGEST_TIMEOUT, description="seconds of work a turn may take by default")
    output_limit: int = Field(256 * 1024, ge=4096, le=16 * 1024**2, description="characters kept of a call's output")
    task_output_limit: int = Field(
        4 * 1024**2, ge=4096, le=1024**3, description="characters kept of the output of all calls of a task"
    )
    event_limit: int = Field(
        10_000, ge=100, le=10_000_000, description="events of a task after which output is logged call by call"
    )
    idle_exit: float = Field(900, ge=0, description="seconds without work or connection after which the server ends")
    default_agent: str = Field("shell", description="who does a task that names no agent")
    sandbox: Wanted = Field("auto", description="the tier of the sandbox")
    log_format: Literal["text", "json"] = Field("text", description="how the lines of server.log are written")
    workspaces: tuple[Path, ...] = Field((), description="folders of yours that tasks may be given, and all beneath")
    limits: LimitSettings = Field(default_factory=LimitSettings, description="what each command may use")
    subtasks: SubtaskSettings = Field(default_factory=SubtaskSettings, description="how far tasks may be handed on")
    retention: RetentionSettings = Field(default_factory=RetentionSettings, description="how long ended tasks are kept")
    backup: BackupSettings = Field(default_factory=BackupSettings, description="backups by itself")
    agents: AgentTable = Field(default_factory=AgentTable, description="per agent")
    mcp_servers: dict[McpName, McpServerSettings] = Field(
        default_factory=dict, description="MCP servers that agents may use, by name"
    )
    secrets: dict[SecretName, SecretSource] = Field(default_factory=dict, description="secrets by name")

    @field_validator("workspaces")
    @classmethod
    def _named_in_full(cls, folders: tuple[Path, ...]) -> tuple[Path, ...]:
        expanded = tuple(folder.expanduser() for folder in folders)
        if relative := [str(folder) for folder in expanded if not folder.is_absolute()]:
            raise ValueError(f"{relative[0]} is not absolute")
        return expanded

    @model_validator(mode="after")
    def _default_agent_is_known(self) -> Self:
        if self.default_agent not in self.agents.all:
            known = ", ".join(self.agents.all)
            raise ValueError(f"default_agent: there is no agent {self.default_agent!r} to do tasks (known: {known})")
        return self

    @model_validator(mode="after")
    def _own_name_is_free(self) -> Self:
        if OWN_NAME in self.mcp_servers:
            raise ValueError(f"mcp_servers.{OWN_NAME}: agents know this server itself by that name; use another")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources: variables take precedence over the file, and nothing else is read."""
        return (init_settings, _Variables(settings_cls), TomlConfigSettingsSource(settings_cls))


class _Variables(EnvSettingsSource):
    def prepare_field_value(self, field_name: str, field: FieldInfo, value: Any, value_is_complex: bool) -> Any:
        """Return the value of a setting. Raises RemitError (VALIDATION_ERROR) that names its variables."""
        try:
            return super().prepare_field_value(field_name, field, value, value_is_complex)
        except ValueError:
            name = f"REMIT_{field_name.upper()}"
            given = " or ".join(sorted(each for each in os.environ if each == name or each.startswith(f"{name}__")))
            raise RemitError(
                Code.VALIDATION_ERROR, f'{given} must be JSON, like ["/a"] for a list or {{"a": 1}} for a table'
            ) from None


def load(config: Path) -> Settings:
    """Load the settings from the file at `config`, if it exists, and from the environment.

    Raises RemitError (VALIDATION_ERROR) that names the setting, the file and what is wrong.
    """
    _refuse_unknown_variables()
    if os.environ.get("REMIT_CONFIG") and not config.is_file():
        raise RemitError(Code.VALIDATION_ERROR, f"REMIT_CONFIG names {config}, and there is no such file")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=config)

    try:
        return FromFile()
    except ValidationError as error:
        problems = "; ".join(_problem(problem) for problem in error.errors(include_input=False, include_url=False))
        raise RemitError(Code.VALIDATION_ERROR, f"settings ({config} and REMIT_* variables): {problems}") from None
    except (OSError, ValueError) as error:
        raise RemitError(Code.VALIDATION_ERROR, f"settings ({config}): {error}") from None


def _problem(problem: Any) -> str:
    text = in_words(problem["type"], problem["msg"], problem.get("ctx", {}))
    path = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    return f"{path}: {text}" if path else text  # which names its setting itself


def _refuse_unknown_variables() -> None:
    """Refuse misspelt variables, which would silently do nothing, and values that are not UTF-8. Raises RemitError."""
    known = {f"REMIT_{name.upper()}" for name in Settings.model_fields} | _LAUNCHER_VARIABLES
    for name, value in os.environ.items():
        if name.startswith("REMIT_") and not is_whole(value):
            raise RemitError(Code.VALIDATION_ERROR, f"{name} must be a text in UTF-8")
        if name.startswith("REMIT_") and name.split("__")[0] not in known:
            raise RemitError(Code.VALIDATION_ERROR, f"there is no setting {name}; known are {', '.join(sorted(known))}")
