"""A task followed to its end: its output as it comes, and its questions put to the person at the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from server.cli.answers import note
from server.cli.client import Client
from server.cli.decisions import ask
from server.cli.terminal import open_terminal
from server.cli.text import Screen, one_line
from server.errors import RemitError
from storage.states import BUSY, DEPENDENCIES, ENDED, LOST

if TYPE_CHECKING:
    from server.tasks.views import EventView, PendingApprovalView, TaskView

WAIT = 45  # seconds: the longest that get_task waits
_NAMED = 5  # tasks it waits for


class Follower:
    """Follows one task. With `show`, its output goes to stdout and what is done about it to stderr."""

    def __init__(self, client: Client, task_id: str, *, after: int = 0, show: bool = True) -> None:
        """`after` is the number of the last event that is known already."""
        self._client = client
        self._task_id = task_id
        self._seen = after
        self._show = show
        self._out = Screen(sys.stdout)
        self._err = Screen(sys.stderr)
        self._commands: dict[str, str] = {}
        self._settled: set[str] = set()

    def follow(self) -> TaskView:
        """Return the task once it has ended."""
        while True:
            task = self._next()
            if self._seen < task["lastEvent"]:
                continue
            if task["status"] in ENDED:
                self._out.end_line()
                return task
            self._attend(task)

    def _next(self) -> TaskView:
        task: TaskView = self._client.call(
            "get_task", id=self._task_id, waitSeconds=WAIT, include=["events"], afterEvent=self._seen
        )
        for event in task["events"]:
            self._seen = event["number"]
            if self._show:
                self._pass_on(event)
        if not task["events"]:
            self._seen = task["lastEvent"]  # an old task's log is not kept
        return task

    def _pass_on(self, event: EventView) -> None:
        match event["type"], event["data"]:
            case "content", {"text": str() as text}:
                self._out.pass_on(text)
            case "tool_call", {"status": "pending", "callId": str() as call_id, "args": dict() as args}:
                self._commands[call_id] = _headline(args)
            case "tool_call", {"status": "executing", "callId": str() as call_id} if call_id in self._commands:
                self._out.end_line()
                self._err.print(self._err.paint(f"$ {self._commands[call_id]}", "dim"))

    def _attend(self, task: TaskView) -> None:
        """Have decided what waits; nothing may be left to do but to wait for others."""
        for call in task.get("pendingApprovals", []):
            if call["callId"] in self._settled:
                continue
            self._out.end_line()
            self._settled.add(call["callId"])
            self._decide(call)
        if task["status"] in ("blocked", "paused") and task["status"] not in self._settled:
            self._settled.add(task["status"])
            note(blocked(task) if task["status"] == "blocked" else _paused(task))

    def _decide(self, call: PendingApprovalView) -> None:
        with open_terminal() as terminal:
            outcome = ask(terminal, call) if terminal else None
        if outcome is None:
            note(f"a call waits for approval: remit approve {self._task_id} {call['callId']}")
            return
        try:
            self._client.call("approve_tool_call", id=self._task_id, callId=call["callId"], outcome=outcome)
        except RemitError as error:
            note(error.message)  # someone else was faster, or it was too late


def _headline(args: dict[str, Any]) -> str:
    return one_line(str(args.get("command", args)))


def blocked(task: TaskView) -> str:
    """What a person can do about a task that is blocked."""
    reason = task.get("blockedReason")
    if reason in (BUSY, DEPENDENCIES) and (blockers := task.get("blockedByTaskIds")):
        others = len(blockers) - _NAMED + task.get("omittedBlockers", 0)
        return f"the task waits for {', '.join(blockers[:_NAMED])}{f' and {others} more' if others > 0 else ''}"
    if reason == LOST and task["secretNames"]:
        names = " ".join(f"--secret {name}" for name in task["secretNames"])
        return f"the server has lost the task's secrets: remit send {task['id']} {names}"
    return f"the task is blocked: {reason}"


def _paused(task: TaskView) -> str:
    return f"the task has made its {task['maxCalls']} calls; to let it make as many again: remit send {task['id']}"
