"""Inheritance: what a sub-task gets from its parent task, never more than that has itself."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from server.config import Settings
from server.errors import Code, RemitError
from server.plain_words import in_words
from server.tasks import sandbox_policy
from server.tasks.requests.request_models import CreateTask, SendMessage
from server.tasks.secrets.variables import environment
from storage.records.tasks import Claim

SAID = frozenset(
    """
    message title description system_prompt agent_id depends_on on_dependency_failure auto_execute env secret_names
    files workspace timeout_seconds max_calls limits require allow_hooks mcp_servers metadata idempotency_key
    on_interrupt approval_timeout_seconds
    """.split()
)
"""Fields that an agent may set for a sub-task; the server sets the others, or they are not for agents."""

OWN_FOLDER = "."
"""The name by which an agent asks for its task's own folder."""

SAID_AGAIN = frozenset({"id", "message", "env", "secret_names", "files", "idempotency_key"})
"""Fields that an agent may set in a further message to a sub-task."""


class Inheritance:
    """The rights and values that one task can pass on to its sub-tasks."""

    def __init__(self, claim: Claim, values: Mapping[str, str], settings: Settings) -> None:
        """Collect what can be passed on. `values` are the task's secrets, as far as they are known."""
        self._task = claim.task
        self._secrets = claim.secrets
        self._literals = {
            name: values[name] for name, how in claim.secrets.items() if how == "literal" and name in values
        }
        self._settings = settings

    @property
    def agents(self) -> tuple[str, ...]:
        """The agents that its sub-tasks may have."""
        own = self._task.agent
        return tuple(dict.fromkeys((own, *self._settings.agents.of(own).delegates_to)))

    @property
    def secret_names(self) -> tuple[str, ...]:
        """The secrets that its sub-tasks may have."""
        return tuple(self._secrets)

    def task(self, request: CreateTask, *, speaks: Mapping[str, bool]) -> CreateTask:
        """Return the request completed with what the sub-task inherits; `speaks`: which agents can use MCP servers.

        Raises RemitError: FORBIDDEN or LIMIT_EXCEEDED that names the field by which it would get more than the task
        has; VALIDATION_ERROR when what it inherits does not fit.
        """
        self._check_said(request, SAID)
        agent = self._agent(request)
        inherited = {
            "agentId": agent,
            "parentTaskId": self._task.id,
            "triggeringAgentId": self._task.agent,
            "autoExecute": self._auto_execute(request),
            "showInHistory": self._task.show_in_history,
            "timeoutSeconds": self._at_most(request, "timeout_seconds", self._timeout()),
            "maxCalls": self._at_most(request, "max_calls", self._task.max_calls),
            "approvalTimeoutSeconds": self._at_most(
                request, "approval_timeout_seconds", self._task.demands.approval_timeout_seconds
            ),
            "limits": self._limits(request),
            "require": self._require(request),
            "allowHooks": self._allow_hooks(request),
            "mcpServers": self._mcp_servers(request, speaks=speaks.get(agent, False)),
            **self._variables(request.env, request.secret_names),
        }
        said = request.model_dump(by_alias=True, exclude_unset=True)
        try:
            return CreateTask.model_validate(said | inherited)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            words = in_words(problem["type"], problem["msg"], problem.get("ctx", {}))
            raise RemitError(Code.VALIDATION_ERROR, f"with what this task passes on to the sub-task: {words}") from None

    def message(self, request: SendMessage, had: Mapping[str, str]) -> SendMessage:
        """Return a message to a sub-task, which keeps the literal secrets it `had` as long as the task has them.

        Raises RemitError (FORBIDDEN or VALIDATION_ERROR) that names the field.
        """
        self._check_said(request, SAID_AGAIN)
        if request.message is None:
            raise _refused("message", "is required: an agent cannot grant further calls or send lost secrets again")
        kept = [name for name, source in had.items() if source == "literal" and name in self._literals]
        names = list(dict.fromkeys((*request.secret_names, *kept)))
        return request.model_copy(update=self._secrets_of(names))

    def _check_said(self, request: CreateTask | SendMessage, may: frozenset[str]) -> None:
        given = request.model_dump(by_alias=False, exclude_unset=True)
        own = {"parent_task_id": self._task.id, "triggering_agent_id": self._task.agent}
        for field in sorted(given.keys() - may):
            if given[field] != own.get(field, ...):
                name = type(request).model_fields[field].alias or field
                raise _refused(name, "cannot be set by the agent of a task; leave it out")
        if isinstance(request, CreateTask) and request.workspace and request.workspace.path != OWN_FOLDER:
            raise _refused("workspace.path", f"an agent can share only its task's own folder: write {OWN_FOLDER!r}")
        for number, file in enumerate(request.files):
            if file.source is not None:
                raise _refused(f"files[{number}].source", "an agent has no folder to read from; give the content")

    def _agent(self, request: CreateTask) -> str:
        if "agent_id" not in request.model_fields_set:
            return self._task.agent
        if request.agent_id not in self.agents:
            raise _refused("agentId", f"this task may give sub-tasks only to {', '.join(self.agents)}")
        return request.agent_id

    def _auto_execute(self, request: CreateTask) -> bool:
        asked = request.auto_execute if "auto_execute" in request.model_fields_set else self._task.auto_execute
        if asked and not self._task.auto_execute:
            raise _refused("autoExecute", "the calls of this task wait for approval, and so do those of its sub-tasks")
        return asked

    def _allow_hooks(self, request: CreateTask) -> bool:
        """Allow hooks only if the task may write them; inherit it with its folder, which nothing protects then."""
        own = self._task.demands.allow_hooks
        if request.allow_hooks and not own:
            raise _refused("allowHooks", "is refused, since this task may not write hooks itself; leave it out")
        return request.allow_hooks or (own and request.workspace is not None and request.workspace.mode == "readwrite")

    def _timeout(self) -> int:
        return min(self._task.timeout_seconds, self._settings.timeout)

    def _at_most(self, request: CreateTask, field: str, inherited: int | None) -> int | None:
        name = CreateTask.model_fields[field].alias or field
        most = self._task.timeout_seconds if field == "timeout_seconds" else inherited
        asked: int | None = getattr(request, field)
        if asked is not None and most is not None and asked > most:
            raise _too_much(name, most)
        return inherited if asked is None else asked

    def _limits(self, request: CreateTask) -> dict[str, int] | None:
        own = self._task.demands.limits or {}
        asked = request.limits.model_dump(by_alias=True, exclude_none=True) if request.limits else {}
        for name, number in asked.items():
            if number > own.get(name, number):
                raise _too_much(f"limits.{name}", own[name])
        return {**own, **asked} or None

    def _require(self, request: CreateTask) -> dict[str, Any] | None:
        own = self._task.demands.require or {}
        asked = request.require.model_dump(by_alias=True, exclude_none=True) if request.require else {}
        return {**asked, **own} or None

    def _mcp_servers(self, request: CreateTask, *, speaks: bool) -> list[str]:
        at_hand = sandbox_policy.mcp_servers(self._settings, self._task.agent, self._task.demands)
        if beyond := [name for name in request.mcp_servers if name not in at_hand]:
            raise _refused("mcpServers", f"this task itself has no MCP server {beyond[0]!r}; leave it out")
        own = list(self._task.demands.mcp_servers) if speaks else []
        return request.mcp_servers if "mcp_servers" in request.model_fields_set else own

    def _variables(self, env: Mapping[str, str], names: list[str]) -> dict[str, Any]:
        secrets = self._secrets_of(names)
        known = {**(self._task.env or {}), **env, **dict.fromkeys(names, "")}
        inherited = {name: text for name, text in (self._task.env or {}).items() if _can_be_filled_in(text, known)}
        return {
            "env": {**inherited, **env},
            "secrets": secrets["secrets"],
            "secretNames": secrets["secret_names"],
        }

    def _secrets_of(self, names: list[str]) -> dict[str, Any]:
        """Return the secrets of these names as fields of a request: literal ones by value, the others by name."""
        for name in names:
            if name not in self._secrets or (self._secrets[name] == "literal" and name not in self._literals):
                raise _refused("secretNames", f"this task itself has no secret {name!r}; leave it out")
        literal = {name: self._literals[name] for name in names if self._secrets[name] == "literal"}
        return {"secrets": literal, "secret_names": [name for name in names if name not in literal]}


def _can_be_filled_in(text: str, known: Mapping[str, str]) -> bool:
    """Return whether a variable's template can be resolved with these names; one may name a secret not passed on."""
    try:
        environment({"": text}, known)
    except RemitError:
        return False
    return True


def _refused(field: str, reason: str) -> RemitError:
    return RemitError(Code.FORBIDDEN, f"{field}: {reason}", field=field)


def _too_much(field: str, most: int) -> RemitError:
    return RemitError(
        Code.LIMIT_EXCEEDED, f"{field}: at most {most}, which this task itself has", field=field, most=most
    )
