"""Following a task and its sub-tasks to their end: prints their output, and asks the person about calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.cli.client import Client
from server.cli.console import one_line
from server.cli.follow_output import Background, Foreground
from server.cli.subtask_tree import subtasks
from server.cli.whole_output import whole
from server.errors import Code, RemitError
from server.limits import MAX_ANSWER, MAX_SUBTASKS, MAX_WAIT_SECONDS, SHORT_ID
from storage.records.states import BUSY, DEPENDENCIES, ENDED, LOST, OUR_REASONS, RESTORED, SUBTASKS

if TYPE_CHECKING:
    from server.tasks.views.pending_approval import PendingApprovalView
    from server.tasks.views.view_models import EventView, TaskView

_NAMED = 5  # tasks it waits for


class Follower:
    """Follows a task and its sub-tasks at all levels, including those created meanwhile.

    With `show`, the task's output goes to stdout; notes about it, and the lines of its sub-tasks, to stderr.
    """

    def __init__(self, client: Client, task_id: str, *, after: int = 0, show: bool = True) -> None:
        """Take the last event that is known as `after`; nothing older is shown, of sub-tasks either."""
        self._client = client
        self._show = show
        self._foreground = Foreground()
        self._root = _Followed(client, task_id, self._foreground, after=after, since="" if show else None)
        self._followed = {task_id: self._root}
        self._since = None if after else ""
        self._asked: dict[int, _Followed] = {}
        self._too_many = False

    def follow(self) -> TaskView:
        """Return the task once it and everything beneath it has ended."""
        known = -1
        while (news := self._news()) > known:
            known = news
            for followed in self._followed.values():  # ended ones too: they may have a new turn
                if followed.is_idle:
                    self._ask(followed)
            while self._asked:
                self._process_next()
        return whole(self._client, self._root.task_id)

    def _news(self) -> int:
        """Return a measure of what is known of the whole tree; it only grows."""
        return len(self._followed) + sum(followed.seen for followed in self._followed.values())

    def _process_next(self) -> None:
        followed = self._asked.pop(self._client.answered())
        try:
            self._take(followed, self._client.answer(followed.leave()))
        except RemitError as error:
            if error.code is not Code.NOT_FOUND or followed is self._root:
                raise
            followed.is_deleted = True

    def _take(self, followed: _Followed, task: TaskView) -> None:
        if self._since is None and task["events"]:
            self._since = task["events"][0]["at"]
        for event in followed.print_news(task):
            self._notice(task["id"], event["data"])
        if "omittedEvents" in task:  # its log is not kept from the start on, and may not tell of all
            for row in subtasks(self._client, task["id"], MAX_SUBTASKS).rows:
                self._notice(task["id"], {"taskId": row["id"], "status": row["status"]})
        if followed.seen < task["lastEvent"] or task["status"] not in ENDED:
            self._ask(followed)
        elif (parent := self._followed.get(followed.parent)) and parent.is_idle:
            self._ask(parent)  # the parent has ended and is not polled any more: its log may have news

    def _notice(self, parent: str, news: dict[str, Any]) -> None:
        """Follow a sub-task that is new, or continues after its end."""
        known = self._followed.get(news["taskId"])
        if known is None and len(self._followed) <= MAX_SUBTASKS:
            known = self._add(news["taskId"], parent)
        if known is None and not self._too_many:
            self._too_many = True
            self._foreground.say(f"only the first {MAX_SUBTASKS} sub-tasks are followed: see remit show")
        if known and known.is_idle and (not known.has_ended or news["status"] not in ENDED):
            self._ask(known)

    def _add(self, task_id: str, parent: str) -> _Followed:
        output = Background(task_id, self._foreground)
        if self._show:
            output.say(f"a sub-task of {parent[:SHORT_ID]}")
        since = (self._since or "") if self._show else None
        followed = _Followed(self._client, task_id, output, parent=parent, since=since)
        self._followed[task_id] = followed
        return followed

    def _ask(self, followed: _Followed) -> None:
        self._asked[followed.ask()] = followed


class _Followed:
    """One task of the tree: its known state, and the open call that waits for its news."""

    def __init__(
        self,
        client: Client,
        task_id: str,
        output: Foreground | Background,
        *,
        since: str | None,
        after: int = 0,
        parent: str = "",
    ) -> None:
        """Create the follower. `since` is the time from which its events are shown; None shows no events."""
        self._client = client
        self.task_id = task_id
        self.parent = parent
        self.output = output
        self.seen = after
        self.has_ended = False
        self.is_deleted = False
        self._since = since
        self._question: int | None = None
        self._commands: dict[str, str] = {}
        self._asked_about: set[str] = set()
        self._explained: tuple[str, str | None] | None = None  # the state that was explained last, and its reason

    @property
    def is_idle(self) -> bool:
        """Whether it exists, and no call about it is open."""
        return self._question is None and not self.is_deleted

    def ask(self) -> int:
        """Start a call that waits for its news; returns the call's number."""
        self._question = self._client.ask(
            "get_task",
            id=self.task_id,
            waitSeconds=MAX_WAIT_SECONDS,
            include=["events"],
            afterEvent=self.seen,
            maxChars=MAX_ANSWER,
        )
        return self._question

    def leave(self) -> int:
        """Return the number of the open call, and mark it as closed."""
        assert self._question is not None
        question, self._question = self._question, None
        return question

    def print_news(self, task: TaskView) -> list[EventView]:
        """Print what is new; returns the events about sub-tasks."""
        for event in task["events"]:
            self.seen = event["number"]
            if self._explained and event["type"] == "status" and event["data"]["status"] != self._explained[0]:
                self._explained = None  # it has gone on since, if only for a moment
            if self._since is not None and event["at"] >= self._since:
                self._print_event(event)
        if not task["events"]:
            self.seen = task["lastEvent"]  # an old task's log is not kept
        if self.seen == task["lastEvent"]:
            self._handle_state(task)
        return [event for event in task["events"] if event["type"] == "subtask"]

    def _print_event(self, event: EventView) -> None:
        match event["type"], event["data"]:
            case "content", {"text": str() as text}:
                self.output.content(text)
            case "tool_call", {"status": "pending", "callId": str() as call_id, "args": dict() as args}:
                self._commands[call_id] = _headline(args)
            case "tool_call", {"status": "executing", "callId": str() as call_id} if call_id in self._commands:
                self.output.command(self._commands[call_id])
            case "status", {"progress": _} | {"progressMessage": _} as data:
                self.output.say(_progress(data))
            case "status", {"status": str() as status}:
                self.output.status(status)
            case "warning", {"message": str() as message}:
                self.output.say(one_line(message))
            case "error", {"code": str() as code, "message": str() as message}:
                self.output.status(f"{code}: {one_line(message.partition(chr(10))[0])}")

    def _handle_state(self, task: TaskView) -> None:
        """Handle a task whose events are all known: it has ended, or continues, maybe after a decision."""
        if task["status"] in ENDED:
            self.has_ended = True
            self.output.end()
            return
        self.has_ended = False
        self._check_waiting(task)

    def _check_waiting(self, task: TaskView) -> None:
        """Ask for decisions on waiting calls, and explain a blocked or paused task."""
        self._asked_about.intersection_update(call["callId"] for call in task.get("pendingApprovals", []))
        for call in task.get("pendingApprovals", []):
            if call["callId"] not in self._asked_about:
                self._asked_about.add(call["callId"])
                self._decide(call)
        state = (task["status"], task.get("blockedReason"))
        if task["status"] in ("blocked", "paused") and state != self._explained:
            self._explained = state
            self._explain(self._client.call("get_task", id=self.task_id) | task)  # with what does not change

    def _explain(self, task: TaskView) -> None:
        if task["status"] == "paused":
            self.output.advise(_paused(task))
        elif task.get("blockedReason") in OUR_REASONS:
            self.output.advise(blocked(task))
        else:
            self.output.say(blocked(task))

    def _decide(self, call: PendingApprovalView) -> None:
        outcome = self.output.decide(call, f"remit approve {self.task_id} {call['callId']}")
        if outcome is None:
            return
        try:
            shown = {"callId": call["callId"], "call": call["call"]}
            self._client.call("approve_tool_call", id=self.task_id, **shown, outcome=outcome)
            self._asked_about.discard(call["callId"])  # where it waits once more, that is another question
        except RemitError as error:
            self.output.say(error.message)  # someone else was faster, or it was too late


def _headline(args: dict[str, Any]) -> str:
    return one_line(str(args.get("command", args)))


def _progress(news: dict[str, Any]) -> str:
    """Return a task's progress in words: a percentage, its message, or both."""
    share = f"{news['progress']:.0%}" if news.get("progress") is not None else ""
    return one_line(f"{share} {news.get('progressMessage') or ''}") or "no progress is reported any more"


def blocked(task: TaskView) -> str:
    """Return why a task is blocked, and what a person can do about it."""
    reason = task.get("blockedReason")
    if reason in (BUSY, DEPENDENCIES, SUBTASKS) and (blockers := task.get("blockedByTaskIds")):
        others = len(blockers) - _NAMED + task.get("omittedBlockers", 0)
        return f"the task waits for {', '.join(blockers[:_NAMED])}{f' and {others} more' if others > 0 else ''}"
    if reason == LOST and task["secretNames"]:
        names = " ".join(f"--secret {name}" for name in task["secretNames"])
        return f"the server has lost the task's secrets: remit send {task['id']} {names}"
    return f"the task is blocked: {reason}"


def _paused(task: TaskView) -> str:
    if task.get("blockedReason") == RESTORED:
        return f"the task came out of a backup, and may have gone on after it; to let it: remit send {task['id']}"
    return f"the task has made its {task['maxCalls']} calls; to let it make as many again: remit send {task['id']}"
