"""Waiting for a task to end or to need somebody, with progress messages meanwhile."""

import re
import time
from contextlib import suppress
from functools import partial

import anyio

from server.concurrency import in_background
from server.tasks.callers import Caller, Tell
from server.tasks.requests.request_models import GetTask
from server.tasks.views.formatting import one_line
from storage.interface import Store
from storage.records.states import BUSY, DEPENDENCIES, ENDED, SUBTASKS, Status
from storage.records.tasks import Progress, Task
from storage.times import now

PERIOD = 1.0
"""Seconds between two progress messages."""

_MOST = 120
"""Characters of a progress message at most."""


async def wait(store: Store, caller: Caller, request: GetTask) -> int | None:
    """Wait for a task, at most as long as the request says.

    The wait is over when the task has ended or needs somebody: a decision on it or on a sub-task, secrets, or more
    calls. If the request names an event, it also needs a later event; a reader of events waits only for that. The agent
    of a task can decide nothing, so it waits for the end. Returns None, or after a timeout the number of the task's
    last event before the wait. Raises RemitError (NOT_FOUND).
    """
    first = await store.task(caller.principal, request.id)
    with anyio.move_on_after(request.patience) as scope:
        if caller.tell is None:
            await _until_due(store, caller, request)
        else:
            async with in_background(partial(_tell, store, caller, request.id, caller.tell)):
                await _until_due(store, caller, request)
    return first.last_event if scope.cancelled_caught else None


async def _until_due(store: Store, caller: Caller, request: GetTask) -> None:
    while True:
        with store.changes.expected(request.id) as change:
            if await _is_due(store, caller, request, await store.task(caller.principal, request.id)):
                return
            await change.wait()


async def _is_due(store: Store, caller: Caller, request: GetTask, task: Task) -> bool:
    if task.status in ENDED:
        return True
    has_news = request.after_event is None or task.last_event > request.after_event
    if request.reads_events or not has_news:
        return has_news
    return caller.agent is None and (not _goes_on(task) or bool(await store.approvals_beneath(task)))


def _goes_on(task: Task) -> bool:
    """Return whether a task will change without a person's action."""
    waits_for_others = task.blocked_reason in (BUSY, SUBTASKS) or (
        task.blocked_reason == DEPENDENCIES and task.open_dependencies > 0
    )
    return task.status in (Status.PENDING, Status.RUNNING) or waits_for_others


async def _tell(store: Store, caller: Caller, task_id: str, tell: Tell) -> None:
    """Report progress about once a second; the database is read again only after a change."""
    began = time.monotonic()
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # the caller has disconnected
        await anyio.sleep(PERIOD)
        while True:
            with store.changes.expected(task_id) as change:
                progress = await store.progress(caller.principal, task_id)
                while not change.is_set():
                    waited = time.monotonic() - began
                    await tell(waited, said_of(progress, waited))
                    await anyio.sleep(PERIOD)


def said_of(progress: Progress, waited: float) -> str:
    """Return a task's progress on one line: `running, 2 of 5 calls, 12 s: the last line of its output`."""
    seconds = waited if progress.started_at is None else (now() - progress.started_at) / 1_000_000
    calls = f", {progress.calls_ended} of {progress.calls} calls" if progress.calls else ""
    lines = [line for line in re.split(r"[\r\n]+", progress.said) if line.strip()]
    last = f": {lines[-1]}" if lines else ""
    return one_line(f"{progress.status}{calls}, {seconds:.0f} s{last}", _MOST)
