"""The sub-task tools of one run, in-process through its turn or over its sandbox's callback channel."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from server.agents.endings import Awaiting
from server.agents.interface import ToolResult, ToolSpec
from server.errors import Code
from server.limits import LONGEST_TIMEOUT
from server.runner.network.callback import CallbackHandler, new_token
from server.tasks.execution.agent_caller import AgentCaller, SubtaskApi

PATIENT = LONGEST_TIMEOUT
"""Seconds that an agent without a process may wait for a sub-task."""

_WAIT = "waitSeconds"


class RunSubtasks:
    """The sub-task tools of one run's agent."""

    def __init__(self, subtask_api: SubtaskApi, agent_caller: AgentCaller) -> None:
        self._subtask_api = subtask_api
        self._agent_caller = agent_caller
        self._token: str | None = None

    def tool_specs(self) -> Sequence[ToolSpec]:
        """Return the tools, for an agent that holds no process while it waits."""
        return [_patient(spec) for spec in self._subtask_api.tool_specs(self._agent_caller)]

    async def waited(self, args: Mapping[str, Any], *, has_waited: bool) -> Mapping[str, Any]:
        """Return the arguments of a call without its wait. Raises Awaiting: when the wait is not over."""
        seconds = args.get(_WAIT)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= PATIENT:
            return args
        if not has_waited and await self._subtask_api.has_open_subtask(self._agent_caller, args.get("id")):
            raise Awaiting({str(args["id"]): float(seconds)})
        return {name: value for name, value in args.items() if name != _WAIT}

    async def use(self, tool: str, args: Mapping[str, Any]) -> ToolResult:
        """Call one of the tools."""
        return await self._subtask_api.use(self._agent_caller, tool, args)

    async def callback_handler(self) -> CallbackHandler:
        """Return the handler of the run's callback channel. Its token lives as long as the run, and is masked."""
        token = self._token = self._token or new_token()
        await self._agent_caller.variables.mask("REMIT_TOKEN", token)
        return CallbackHandler(
            token=token,
            serve=partial(self._subtask_api.serve, self._agent_caller),
            refused=partial(self._agent_caller.attempted, Code.FORBIDDEN),
        )


def _patient(spec: ToolSpec) -> ToolSpec:
    """Return a tool whose wait may last longer than a connection would."""
    properties = spec.schema.get("properties", {})
    if _WAIT not in properties:
        return spec
    longer = {**properties, _WAIT: {**properties[_WAIT], "maximum": PATIENT, "description": "wait for its end"}}
    return replace(spec, schema={**spec.schema, "properties": longer})
