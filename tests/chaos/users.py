"""Users: each does what users do with tasks of their own, in any order, and writes down what it was told."""

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import anyio

from tests.chaos import processes
from tests.chaos.journal import ENDED, Journal, Task
from tests.chaos.orders import Orders
from tests.chaos.window import Line, Lost, Refused, Window

TRIES = 20
"""Times that a call is made again whose answer is lost."""

PAUSE = 0.1
"""Seconds before that."""

PATIENCE = 60.0
"""Seconds in which one more task ends, once nobody disturbs anything any more."""

NOT_DONE = frozenset({"CONFLICT", "NOT_FOUND"})
"""Codes of refusals to cancel or delete something because there is nothing to be stopped."""


class User:
    """One user with two windows."""

    def __init__(
        self,
        number: int,
        orders: Orders,
        journal: Journal,
        open_window: Callable[[], Awaitable[Window]],
        random: Random,
    ) -> None:
        self._name = f"user {number}"
        self._orders = orders
        self._journal = journal
        self._open_window = open_window
        self._random = random
        self._windows: list[Window] = []
        self._own: list[Task] = []

    async def work(self) -> None:
        """Do one thing after the other until cancelled."""
        actions = [self.create, self.look, self.search, self.decide, self.cancel, self.delete, self.send, self.report]
        weights = [10, 6, 2, 8, 3, 2, 5, 2]
        while True:
            (action,) = self._random.choices(actions, weights)
            try:
                await action()
            except Refused as refusal:
                self._journal.said(refusal.code, str(refusal))
                await anyio.sleep(PAUSE)
            except Lost as loss:
                self._journal.said("LOST", str(loss))
                await anyio.sleep(PAUSE)
            except TimeoutError:
                self._journal.fault("stuck", f"{self._name} waited too long for an answer to {action.__name__}")

    async def create(self) -> None:
        """Ask for a task; with the same key again until it is acknowledged, always under the same id."""
        task, arguments = self._orders.next()
        arguments |= self._relations(task)
        self._journal.tasks[task.key] = task
        try:
            created = await self._call("create_task", **arguments)
        except Refused:
            self._journal.refused_keys.add(task.key)
            raise
        except Lost:
            created = await self._insist("create_task", **arguments)
        task.id = created["id"]
        task.messages.append(arguments["message"])
        self._own.append(task)
        self._journal.counts["created"] += 1

    async def look(self) -> None:
        """Read a task, at once or when it has ended."""
        if task := self._any():
            await self._view(task, waitSeconds=self._random.choice([0, 0, 1]), include=["messages", "events"])

    async def search(self) -> None:
        """Read a page."""
        await self._call("list_tasks", limit=50, query=self._random.choice(["", self._name]))

    async def decide(self) -> None:
        """Say yes or no to a call that waits, sometimes both at once in two windows."""
        if (task := self._any("asking")) and (waiting := (await self._view(task)).get("pendingApprovals")):
            call = self._random.choice(waiting)
            outcomes = self._random.choice([["proceed_once"], ["cancel"], ["proceed_once", "cancel"]])
            async with anyio.create_task_group() as group:
                for number, outcome in enumerate(outcomes):
                    group.start_soon(self._answer, task, call, outcome, number)

    async def cancel(self) -> None:
        """End a task; whatever comes of the request, its processes have gone soon after."""
        if task := self._any("long", "plain", "asking"):
            await self._ending(task, self._call("cancel_task", id=task.id))

    async def delete(self) -> None:
        """Remove a task with its sub-tasks."""
        if task := self._any():
            doomed = [each for each in self._journal.beneath(task) if each.is_deleted is False]
            _mark(doomed, None)
            try:
                await self._ending(task, self._call("delete_task", id=task.id))
            except Refused:
                _mark(doomed, False)
                raise
            _mark(doomed, True)
            self._journal.counts["deleted"] += 1

    async def send(self) -> None:
        """Go on with a task that has ended; with the same key again until that is acknowledged."""
        task = self._any("plain", "asking", "secret", "upload", "long")
        if task and (view := await self._view(task))["status"] in ENDED:
            turn = view["messageCount"] // 2 + 1
            message = self._orders.message(task, turn)
            arguments = {"id": task.id, "message": message, "idempotencyKey": f"{task.key}.{turn}"}
            await self._insist("send_message", **arguments, secrets=task.secrets)
            task.messages.append(message)
            self._journal.counts["sent"] += 1

    async def report(self) -> None:
        """Say how far a task is that nobody here executes."""
        if task := self._any("record"):
            task.attempted += 1
            await self._call("update_task", id=task.id, progressMessage=str(task.attempted))
            task.reported = task.attempted

    async def conclude(self) -> None:
        """Do what the user's tasks wait for until all have ended; those that do not are stuck."""
        left = [task for task in self._own if task.is_deleted is False]
        with anyio.move_on_after(PATIENCE) as waiting:
            while left:
                for task in tuple(left):
                    if await self._has_ended(task):
                        left.remove(task)
                        waiting.deadline = anyio.current_time() + PATIENCE
                await anyio.sleep(PAUSE)
        for task in left:
            self._journal.fault("stuck", f"{task.key} ({task.kind}, {task.id}) does not end")

    async def _has_ended(self, task: Task) -> bool:
        try:
            return await self._concluded(task)
        except (Refused, Lost) as error:
            self._journal.said("CONCLUDING", str(error))
            if isinstance(error, Refused) and error.code == "NOT_FOUND":
                self._journal.fault("lost", f"{task.key}: {error}")
                return True
            return False

    async def _concluded(self, task: Task) -> bool:
        """Do what a task waits for; whether it has ended."""
        view = await self._view(task)
        for call in view.get("pendingApprovals", []):
            await self._answer(task, call, "proceed_once", 0)
        if view["status"] == "blocked" and view.get("blockedReason") == "SECRETS_LOST":
            await self._call("send_message", id=task.id, secrets=task.secrets)
        if task.kind == "long" and view["status"] not in ENDED:
            await self._ending(task, self._call("cancel_task", id=task.id))
        if task.kind == "record" and view["status"] == "pending":
            await self._call("update_task", id=task.id, status="completed")
        return view["status"] in ENDED

    def _any(self, *kinds: str) -> Task | None:
        """Return one of the latest of the user's tasks."""
        mine = [task for task in self._own if task.is_deleted is False and (not kinds or task.kind in kinds)]
        return self._random.choice(mine[-8:]) if mine else None

    def _relations(self, task: Task) -> dict[str, Any]:
        relations: dict[str, Any] = {"taskListId": f"list-{self._random.randint(1, 3)}"}
        if self._random.random() < 0.15 and (needed := self._any()):
            relations["dependsOn"] = [needed.id]
        if self._random.random() < 0.15 and (parent := self._any()):
            relations["parentTaskId"] = task.parent = parent.id
        return relations

    async def _view(self, task: Task, **arguments: Any) -> Line:
        view = await self._call("get_task", id=task.id, **arguments)
        self._journal.told(task, view)
        return view

    async def _answer(self, task: Task, call: Line, outcome: str, window: int) -> None:
        call_id = call["callId"]
        about = {"id": task.id, "callId": call_id, "call": call["call"], "outcome": outcome}
        try:
            await self._call("approve_tool_call", window=window, **about)
        except (Refused, Lost) as error:
            self._journal.said("DECISION", str(error))
            return
        if task.decisions.setdefault(call_id, outcome) != outcome:
            self._journal.fault("twice", f"call {call_id} was decided with {task.decisions[call_id]} and {outcome}")
        self._journal.counts["decided"] += 1

    async def _ending(self, task: Task, request: Awaitable[Line]) -> Line:
        """Make a request that ends a task. Its processes are gone when it says so, else soon after."""
        try:
            answer = await request
        except Refused as refusal:
            if refusal.code not in NOT_DONE and not await processes.gone(task.mark):
                self._journal.fault("alive", f"{task.key} was to end, which was answered with {refusal}")
            raise
        if not await processes.gone(task.mark, processes.GONE_SECONDS if answer.get("cancelRequested") else 0):
            self._journal.fault("alive", f"{task.key} has processes though it has ended")
        return answer

    async def _insist(self, tool: str, **arguments: Any) -> Line:
        """Make a call that has a key until it is answered. Raises Lost after TRIES."""
        for _ in range(TRIES):
            try:
                return await self._call(tool, **arguments)
            except Lost as loss:
                self._journal.said("LOST", str(loss))
                await anyio.sleep(PAUSE)
        raise Lost(f"no answer to {tool} after {TRIES} tries")

    async def _call(self, tool: str, *, window: int = 0, **arguments: Any) -> Line:
        """Make a call in one of the user's windows, which is opened anew if it was killed."""
        while len(self._windows) <= window:
            self._windows.append(await self._open_window())
        if self._windows[window].is_gone:
            self._windows[window] = await self._open_window()
        return await self._windows[window].call(tool, **arguments)


def _mark(tasks: Sequence[Task], is_deleted: bool | None) -> None:
    for task in tasks:
        task.is_deleted = is_deleted
