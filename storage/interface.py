"""The store as the rest of the project sees it; `storage.sqlite.store` implements it.

Every operation but `Store.delete` is atomic: when it raises, nothing was changed. Times are microseconds since the
epoch, UTC. What is done for a user takes a principal and sees that principal's tasks alone: a task of another does not
exist for it (NOT_FOUND). Any operation may raise `storage.errors.DatabaseError`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol, Unpack

from storage.changes import Changes
from storage.records.calls import Call, CallContext, CallResult, Decision, DecisionResult, Grant, NewCall
from storage.records.clock import Clock
from storage.records.events import RunEvent
from storage.records.graphs import Graph
from storage.records.lists import Filter, Page, Position, Total
from storage.records.masked import MaskedText
from storage.records.outcomes import RunOutcome
from storage.records.queue import NO_DEMAND, SlotDemand
from storage.records.recovery import HeldTasks, Leftover, Recovery
from storage.records.retention import Ended, RemovedChunk
from storage.records.secrets import SecretRecord
from storage.records.states import Status
from storage.records.tasks import (
    CancellationResult,
    Claim,
    CreationResult,
    Message,
    NewTask,
    NewTurn,
    Principal,
    Progress,
    Run,
    SecretSource,
    SentKey,
    Snapshot,
    Task,
    TurnUsage,
    Update,
)
from storage.records.unwritten import Unwritten
from storage.records.workspaces import Checkout, FolderNotes, Workspace, WorktreeOutcome, WorktreeRecord


class RunStore(Protocol):
    """The operations of a run: claiming a task, recording its work, and ending the run.

    Each raises RemitError (CONFLICT) once the run's fence is stale. Most need not survive a power failure by
    themselves, because nobody was told of them yet; the beginning of a call and the end of a run do, and with them
    everything before.
    """

    async def claim_run(self, owner: str, demand: SlotDemand = NO_DEMAND) -> Claim | None:
        """Start a run of the next task; None when none can start.

        Sub-tasks for which a process waits are first; then no principal's tasks hold up another's. See
        `storage.records.queue.SlotDemand`.
        """

    async def record_processes(self, run: Run, processes: Sequence[Mapping[str, object]], sandbox: str) -> None:
        """Record the processes that do the run's work, and the sandbox tier they run in."""

    async def set_process_bound(self, run: Run, bound: bool) -> None:
        """Record whether the run's work would be lost with its process."""

    async def remember(self, run: Run, state: MaskedText, usage: TurnUsage | None) -> None:
        """Save the state that the turn's agent continues from, as JSON, and add up its model usage."""

    async def recall(self, run: Run, *, back: int = 0) -> str | None:
        """Return the state saved last in the run's turn, or `back` turns before it; None if there is none."""

    async def history(self, run: Run) -> list[Message]:
        """Return the messages of the conversation before the run's turn, oldest first."""

    async def append_events(self, run: Run, events: list[RunEvent]) -> int:
        """Append to the task's log; returns the number of the last event.

        Survives a crash of the server, not necessarily a power failure.
        """

    async def announce_calls(self, run: Run, new: Sequence[NewCall]) -> list[Call]:
        """Record the turn's calls; returns all of them in order."""

    async def amend_call(self, run: Run, changed: NewCall) -> Call:
        """Replace the arguments of a call that has not begun; returns it."""

    async def begin_call(self, run: Run, call_id: str, expires_at: int | None, **about: Unpack[CallContext]) -> Call:
        """Let a call proceed, or make it wait for approval: the approval gate that every call passes.

        `expires_at` is when a waiting call is refused; None for never. The call stays `pending` if the task's call
        budget is used up.
        """

    async def renew_call(self, run: Run, call_id: str) -> list[Call]:
        """Replace an interrupted call by a new one; returns all calls of the turn in order."""

    async def wait_for_decision(self, run: Run) -> tuple[bool, list[Call]]:
        """Let a run whose process must stay wait for a decision; returns whether it waits, and its turn's calls.

        The run continues by itself once the call is decided.
        """

    async def end_call(self, run: Run, call_id: str, result: CallResult) -> None:
        """Record the result of an executed call."""

    async def end_run(
        self, run: Run, outcome: RunOutcome, ran_us: int = 0, unwritten: Unwritten | None = None
    ) -> Status:
        """End a run, and do with its task what the outcome says. Returns the task's status.

        A cancellation requested meanwhile takes precedence. `ran_us` is microseconds of work; what the run could not
        write before, `unwritten`, is written with its end.
        """

    async def abandon_runs(self, task_ids: Collection[str]) -> None:
        """End the runs of cancelled tasks that no process works on."""


class StoreMaintenance(Protocol):
    """Operations that keep a store from growing, each short, so that others are served in between; its clock too.

    An `ended_by` is a time: tasks count that ended by then.
    """

    async def expired(self, ended_by: int, after: Ended) -> tuple[list[int], Ended | None]:
        """Return removable tasks among the next that ended by `ended_by`, and where to continue; None at the end."""

    async def remove_expired(self, seqs: Sequence[int], ended_by: int) -> RemovedChunk:
        """Remove as many of these tasks as one transaction should."""

    async def with_log(self, ended_by: int) -> list[int]:
        """Return the next tasks that ended by `ended_by` and still have their log."""

    async def remove_logs(self, seqs: Sequence[int], ended_by: int, at: int) -> list[int]:
        """Remove as much of the logs of these tasks as one transaction should; returns the tasks that are left."""

    async def with_workspace(self, ended_by: int) -> list[str]:
        """Return the ids of the next tasks that ended by `ended_by` and still have their folder."""

    async def give_up_workspace(self, task_id: str, ended_by: int, at: int) -> bool:
        """Record that a task's folder is gone, before it is deleted; False if the task reopened or shares it."""

    async def identity(self) -> str:
        """Return the random id of the database, which is also written into its tasks' folders."""

    async def known_folders(self, names: Iterable[str]) -> set[str]:
        """Return those of these names that are ids of tasks whose folder was not given up."""

    async def expected_folders(self, ids: Collection[str] | None = None) -> set[str]:
        """Return those of these tasks, or of all, that should have a folder of their own."""

    async def given_up_folders(self) -> set[str]:
        """Return the ids of tasks whose folders were given up, and may still be on disk."""

    async def forget_folders(self, task_ids: Iterable[str]) -> None:
        """Record that the given-up folders of these tasks are no longer on disk."""

    async def hold_restored(self, at: int) -> HeldTasks:
        """Settle and pause the open tasks of a restored database: none continues before a person says so."""

    async def observe_clock(self, at: int, ran_us: int) -> bool:
        """Record that it is `at`, after `ran_us` of work since the last call; returns whether `at` is trusted."""

    async def believe_clock(self, at: int) -> None:
        """Trust `at` from now on."""

    async def clock(self) -> Clock:
        """Return the last trusted time and the time in doubt since."""

    async def vacuum(self) -> bool:
        """Return some of the free space to the disk; returns whether there is more."""

    async def tidy(self) -> None:
        """Shrink what is kept of recent changes beside the data itself."""


class Store(RunStore, Protocol):
    """The tasks of all principals, and all that belongs to them."""

    changes: Changes
    maintenance: StoreMaintenance

    # Operations of a principal.

    async def create_task(self, principal: Principal, new: NewTask) -> CreationResult:
        """Insert a task; durable when this returns.

        Raises RemitError: CONFLICT if its idempotency key was used for another request; NOT_FOUND for an unknown parent
        or dependency; DEPENDENCY_FAILED for a dependency that failed; LIMIT_EXCEEDED for a sub-task beyond `nesting`.
        """

    async def repeated(self, principal: Principal, key: str | None, digest: str) -> CreationResult | None:
        """Return the task that an idempotency key created before; None if there is none.

        Raises RemitError (CONFLICT) if the key was used for another request.
        """

    async def open_turn(self, principal: Principal, task_id: str, new: NewTurn) -> Task:
        """Add a message to an ended task. Raises RemitError: NOT_FOUND, CONFLICT for one that has not ended."""

    async def resume_with_secrets(
        self, principal: Principal, task_id: str, unneeded: Collection[str] = (), key: SentKey | None = None
    ) -> Task:
        """Let a task that was blocked for lost secrets continue, without those it no longer needs.

        With `key`, the message that lets it continue is recorded as sent.
        """

    async def was_sent(self, principal: Principal, task_id: str, sent: SentKey) -> bool:
        """Return whether a message was sent to the task before. Raises RemitError, CONFLICT for another message."""

    async def task(self, principal: Principal, task_id: str) -> Task:
        """Return one task. Raises RemitError (NOT_FOUND)."""

    async def secret_names(self, principal: Principal, task_id: str) -> dict[str, SecretSource]:
        """Return the names of the secrets of the task's turn, with the source of each value."""

    async def workspace(self, principal: Principal, task_id: str) -> Workspace | None:
        """Return the user's folder that a task works in; None for a folder of its own."""

    async def snapshot(
        self,
        principal: Principal,
        task_id: str,
        *,
        messages: bool = False,
        graph: bool = False,
        events_after: int | None = None,
        max_events: int = 0,
        asker: int | None = None,
        since: int | None = None,
    ) -> Snapshot:
        """Return a task with its related data, read in one transaction.

        With `since`, the number of an event, what came after it is marked as new. With `asker`, the number of a task,
        only what that task's agent may see is included. Raises RemitError (NOT_FOUND).
        """

    async def progress(self, principal: Principal, task_id: str) -> Progress:
        """Return a short report on a running task. Raises RemitError (NOT_FOUND)."""

    async def find(
        self,
        principal: Principal,
        wanted: Filter,
        limit: int,
        offset: int = 0,
        after: Position | None = None,
        known: Total | None = None,
    ) -> Page:
        """Return a page of tasks, most recently active first; search results by creation, newest first.

        `known` is the total of the page that ended at `after`: a total that needs counting is not counted again then.
        """

    async def graph(self, principal: Principal, task_list: str, limit: int, offset: int) -> Graph:
        """Return how the tasks of a list depend on each other."""

    async def update(self, principal: Principal, task_id: str, update: Update) -> Task:
        """Apply `update`, all of it or nothing.

        Raises RemitError: NOT_FOUND; CONFLICT for what the state of the task forbids; VALIDATION_ERROR for what a task
        of its kind cannot have; DEPENDENCY_CYCLE, DEPENDENCY_FAILED or LIMIT_EXCEEDED for its new dependencies.
        """

    async def bring_files(self, principal: Principal, task_id: str, files: Mapping[str, str]) -> None:
        """Record the files that come with a message to a task; durable when this returns."""

    async def resume(self, principal: Principal, task_id: str, key: SentKey | None = None) -> Task:
        """Let a paused task continue, with its call budget renewed. Raises RemitError, CONFLICT if it is not paused."""

    async def cancel(self, principal: Principal, task_id: str) -> CancellationResult:
        """Cancel a task and everything beneath it; the running ones are returned and still have to be stopped."""

    async def at_work_beneath(self, principal: Principal, task_id: str) -> list[str]:
        """Return the ids of the task and of all beneath it that have an open run, the task itself first."""

    async def ids_with_prefix(self, principal: Principal, start: str, asker: int | None) -> list[str]:
        """Return the task ids with this prefix that the caller may see."""

    async def is_beneath(self, principal: Principal, task_id: str, above: int) -> bool:
        """Return whether a task is a sub-task, at any depth, of the task with the number `above`."""

    async def approvals_beneath(self, task: Task) -> list[str]:
        """Return the ids of sub-tasks, at any depth, that wait for approval."""

    async def stopping_beneath(self, run: Run) -> list[str]:
        """Return the ids of cancelled tasks beneath a run's task whose own runs are still to be ended."""

    async def open_deletion_set(self, principal: Principal, task_id: str, *, cascade: bool) -> list[str]:
        """Return the tasks to be cancelled before this one is deleted. Raises RemitError (TASK_HAS_DEPENDENTS)."""

    async def removable(self, principal: Principal, task_id: str, *, cascade: bool) -> list[str]:
        """Return the tasks that deleting this one removes. Raises RemitError, CONFLICT while one of them runs."""

    async def delete(self, principal: Principal, task_id: str, *, cascade: bool = False) -> list[str]:
        """Remove a task and everything that goes with it; returns the removed ids.

        Large sets are removed in several steps, each of them atomic and complete in itself.
        Raises RemitError: CONFLICT while one of them runs, TASK_HAS_DEPENDENTS without `cascade`.
        """

    async def call(self, principal: Principal, task_id: str, call_id: str) -> Call:
        """Return one call of a task. Raises RemitError (NOT_FOUND)."""

    async def decide_call(
        self, principal: Principal, task_id: str, call_id: str, decision: Decision, *, secrets_at_hand: bool
    ) -> DecisionResult:
        """Approve or refuse a waiting call, once: the same decision again is repeated, a different one is a CONFLICT.

        Raises RemitError: NOT_FOUND, CONFLICT, APPROVAL_EXPIRED, or VALIDATION_ERROR for `proceed_always` on a call
        that can only be approved once.
        """

    async def grants(self, principal: Principal) -> list[Grant]:
        """Return the grants in force, newest first."""

    async def revoke_grant(self, principal: Principal, grant_id: str) -> None:
        """Revoke a grant. Raises RemitError (NOT_FOUND)."""

    # Operations of the server itself, across principals.

    async def secrets_of_all_turns(self, task_id: str) -> list[SecretRecord]:
        """Return the secrets of a task's turns, latest first; then those of tasks that share their folder with it."""

    async def shared_from(self, task_id: str) -> list[str]:
        """Return the ids of the tasks that share their folder with this one, the nearest ancestor first."""

    async def leftovers(self) -> list[Leftover]:
        """Return the runs that a dead server left open."""

    async def recover(self) -> Recovery:
        """Settle the open runs of a dead server. Call it once their processes have ended."""

    async def propagate(self) -> bool:
        """Update the next dependants of ended tasks; returns whether some are left."""

    async def wake(self) -> bool:
        """Resume the tasks whose time of waiting for sub-tasks is over; returns whether there were any."""

    async def next_wake(self) -> int | None:
        """Return when the next task stops waiting for its sub-tasks; None if none waits."""

    async def having_active_subtasks(self, seqs: Collection[int]) -> set[int]:
        """Return those of these tasks whose agents may wait for sub-tasks that run, or would if there was a slot."""

    async def expire_calls(self) -> list[str]:
        """Refuse waiting calls whose time has passed; returns the ids of their tasks."""

    async def next_expiry(self) -> int | None:
        """Return when the next waiting call expires; None if none does."""

    async def worktrees(self, task_id: str | None = None) -> list[WorktreeRecord]:
        """Return all worktrees on disk, complete or not, or that of one task; the oldest first."""

    async def record_worktree(self, task_id: str, checkout: Checkout, outcome: WorktreeOutcome) -> None:
        """Record the findings about a worktree."""

    async def note_folder(self, task_id: str, **changes: Unpack[FolderNotes]) -> None:
        """Merge notes about a folder that a task works in directly (not through a worktree)."""

    async def first_protected(self, path: str, found: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
        """Return what was protected first in a user's folder, as JSON arrays.

        That is `found` if nothing was recorded for the folder, and it is then recorded, unless it is empty.
        """

    async def reopen_worktree(self, task_id: str) -> None:
        """Mark a worktree to be examined again."""

    async def give_up_worktree(self, task_id: str) -> None:
        """Record that a worktree is gone, and the task's folder with it."""

    async def open_counts(self) -> dict[Status, int]:
        """Return the number of open tasks in each status."""
