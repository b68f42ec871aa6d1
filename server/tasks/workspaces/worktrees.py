"""The worktrees of tasks: made at the first run, inspected after each, removed once nothing would be lost."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from server.concurrency import in_grace
from server.config import Settings
from server.errors import Code, RemitError
from server.runner.filesystem.removal import delete_tree
from server.runner.git.repository import Repository, branch_of
from server.runner.policy import SandboxPolicy
from server.runner.sandbox import Sandbox
from server.runner.workspace.workspaces import Workspaces
from server.runner.worktrees.branch import Branch
from server.runner.worktrees.worktree import Worktree, is_committed, tree_of
from server.tasks import sandbox_policy
from server.tasks.locks import KeyedLock
from server.tasks.repository_record import repository_of
from server.tasks.secrets.masking import NO_SECRETS, Masker, own_words
from server.tasks.secrets.variables import Variables
from server.tasks.working_directory import WorkingDirectory
from server.tasks.workspaces import outcomes, set_aside
from server.threads import stepped
from server.tier_names import confines, protects
from storage.interface import Store
from storage.records.demands import Demands
from storage.records.tasks import Claim
from storage.records.workspaces import Checkout, Workspace, WorktreeOutcome
from storage.records.workspaces import WorktreeRecord as Record

_log = logging.getLogger(__name__)

GRACE_SECONDS = 2.0
"""Seconds that a cancelled run has to inspect its worktree; most take a tenth of it."""

MOVE_SECONDS = 1.0
"""Seconds to finish moving a branch when the caller gives up, so that branch and record agree."""

_CUT_OFF = own_words("the task was cancelled before all its commits were carried over; they are in its worktree")

Masking = Callable[[], Awaitable[Masker | None]]
"""Returns the masker for a worktree's contents, None if a secret's value is gone; called after inspection."""


class Worktrees:
    """Makes worktrees, inspects them after each run, brings their commits to the repository, and removes them."""

    def __init__(
        self, store: Store, sandbox: Callable[[], Awaitable[Sandbox]], workspaces: Workspaces, settings: Settings
    ) -> None:
        self._store = store
        self._sandbox = sandbox
        self._workspaces = workspaces
        self._settings = settings
        self._lock = KeyedLock()
        """The lock of each worktree; its holder alone inspects it, moves its branch or removes it."""

    @asynccontextmanager
    async def at_work(self, claim: Claim, variables: Variables) -> AsyncIterator[None]:
        """Provide the worktree of a run, if its task works in one, and inspect it at the run's end.

        Raises RemitError (EXECUTION_ERROR): when it cannot be made.
        """
        if claim.workspace is None or claim.workspace.mode != "worktree":
            async with self._at_work_in_anothers(claim.workspace, variables):
                yield
            return
        try:
            await self._prepare(claim.task.id)
            yield
        finally:
            await self._conclude_in_grace(claim.task.id, variables.ever)

    def folder(self, task_id: str) -> Path:
        """Return the path of a task's worktree, whether it exists or not."""
        return tree_of(self._workspaces.path(task_id))

    async def conclude_ended(self) -> None:
        """Inspect the worktrees of ended tasks that a dead server did not get to."""
        try:
            records = await self._store.worktrees()
        except (RemitError, OSError) as error:
            _log.error("the worktrees that were left are looked at by the next start: %s", error)
            return
        for record in records:
            if record.workspace.checkout == "open" and record.is_over:
                try:
                    await self._conclude(record.task_id, partial(self._masker, record.task_id))
                except Exception as error:  # nothing in a worktree may keep the server from starting
                    _log.error("the worktree of task %s is not looked at: %s", record.task_id, type(error).__name__)

    async def carried(self, task_id: str, variables: Variables) -> tuple[str, bool]:
        """Bring a running task's commits to its branch. Returns the latest commit, and whether everything is committed.

        Raises RemitError (CONFLICT): when they cannot be brought over.
        """
        async with self._lock(task_id):
            (record,) = await self._store.worktrees(task_id)
            _, outcome = await self._outcome(record, variables.ever)
            await self._store.record_worktree(task_id, "open", outcome)
        if outcome["carried"] != outcome.get("head", outcome["carried"]):
            raise RemitError(Code.CONFLICT, f"workspace: {outcome['problem']}", field="workspace")
        return outcome["carried"], not outcome.get("dirty")

    async def unseen(self, workspace: Workspace, agent_id: str) -> list[str]:
        """Return warnings about uncommitted changes, which a new task in a worktree does not see."""
        if workspace.repository is None or workspace.repository.top is None:
            return []
        repository = repository_of(workspace.repository)
        sandbox = await self._sandbox()
        folder = Path(workspace.path)
        try:
            if not confines(sandbox.tier):  # git would execute programs that the repository's settings name
                raise RemitError(Code.SANDBOX_UNAVAILABLE, "nothing confines git here")
            policy = sandbox_policy.policy(self._settings, agent_id, Demands(), WorkingDirectory(folder, folder))
            if await is_committed(repository, sandbox, policy):
                return []
        except RemitError as error:
            return [f"the task does not see what is not committed; whether there is any was not found out: {error}"]
        return ["the repository has uncommitted changes, which the task does not see"]

    async def discard_all(self, task_ids: Iterable[str]) -> None:
        """Remove the worktrees of these tasks, or none and raise RemitError (CONFLICT) if something would be lost."""
        there = {record.task_id for record in await self._store.worktrees()}  # few, and the tasks may be many
        theirs = [task_id for task_id in task_ids if task_id in there]
        for task_id in theirs:
            async with self._lock(task_id):
                await self._refuse_loss(task_id)
        for task_id in theirs:
            await self.discard(task_id, force=True)

    async def discard(self, task_id: str, *, force: bool = False) -> None:
        """Remove the worktree of an ended task, and its branch if that has no commits of its own.

        Raises RemitError: CONFLICT for one in use or, without `force`, one with which something would be lost;
        EXECUTION_ERROR for one that cannot be removed.
        """
        async with self._lock(task_id):  # an inspection under way would recreate its branch
            for record in await self._store.worktrees(task_id):
                if not force:
                    await self._refuse_loss(task_id)
                elif not record.is_over:
                    raise _in_use(record)
                await self._remove(record)

    async def _remove(self, record: Record) -> None:
        task_id = record.task_id
        await self._drop_branch(record)
        try:
            await to_thread.run_sync(self._workspaces.remove, task_id)
        except OSError as error:
            raise RemitError(
                Code.EXECUTION_ERROR, f"the worktree of task {task_id} cannot be removed: {error.strerror}", id=task_id
            ) from error
        await self._store.give_up_worktree(task_id)

    async def _drop_branch(self, record: Record) -> None:
        """Remove the branch. A failure, e.g. because the repository is gone, does not keep the worktree."""
        try:
            await (await self._branch(record)).drop()
        except RemitError as error:
            why = outcomes.failure_text(error, await self._masker(record.task_id))
            _log.warning("the branch %s is left: %s", branch_of(record.task_id), why)

    async def _refuse_loss(self, task_id: str) -> None:
        """Raise RemitError (CONFLICT) if something would be lost. The caller holds the lock."""
        (record,) = await self._store.worktrees(task_id)
        if not record.is_over:
            raise _in_use(record)
        await self._conclude_locked(task_id, partial(self._masker, task_id))
        (record,) = await self._store.worktrees(task_id)
        if record.workspace.checkout != "clean":
            why = record.workspace.outcome.get("problem", "it has uncommitted changes")
            raise RemitError(
                Code.CONFLICT,
                f"the worktree of task {task_id} would be lost: {why}; `remit worktrees prune --force {task_id}` in a "
                "terminal removes it all the same",
                id=task_id,
            )

    async def _masker(self, task_id: str) -> Masker | None:
        """Return the masker of a task that does not run: None unless it never had secrets."""
        return None if await self._store.secrets_of_all_turns(task_id) else NO_SECRETS

    async def _prepare(self, task_id: str) -> None:
        (record,) = await self._store.worktrees(task_id)
        repository = _repository(record)
        await to_thread.run_sync(repository.check_place)
        await to_thread.run_sync(self._workspaces.ensure, task_id)
        worktree = await self._worktree(record)
        if not worktree.tree.is_dir():
            start = await (await self._branch(record)).make(_carried(record))
            await self._store.record_worktree(task_id, "open", {"carried": start})
            async with self._stage() as stage:
                await worktree.make(branch_of(task_id), start, stage)

    async def _conclude(self, task_id: str, masking: Masking) -> None:
        """Inspect a worktree, and bring its commits to the repository; a failure is recorded.

        `masking` is for recorded names and diffs; without a masker they may hold secrets and are left out.
        """
        async with self._lock(task_id):
            await self._conclude_locked(task_id, masking)

    async def _conclude_locked(self, task_id: str, masking: Masking) -> None:
        for record in await self._store.worktrees(task_id):
            try:
                checkout, outcome = await self._outcome(record, masking)
            except (RemitError, OSError) as error:
                checkout = "dirty"
                outcome = {**record.workspace.outcome, "problem": outcomes.failure_text(error, await masking())}
            tree, is_protected = self.folder(task_id), await self._is_protected()
            state = self._workspaces.state
            if told := await set_aside.of_worktree(tree, state, record, masking, is_protected=is_protected):
                outcome["disarmed"] = told
            await self._store.record_worktree(task_id, checkout, outcome)

    async def _is_protected(self) -> bool:
        """Return whether no command could change a worktree's own settings and hooks; False if the tier is unknown."""
        try:
            return protects((await self._sandbox()).tier)
        except RemitError:
            return False

    async def _conclude_in_grace(self, task_id: str, masking: Masking) -> None:
        """Inspect it at a run's end. A cancelled run has little time left; what is not done is recorded."""
        is_done = False

        async def conclude() -> None:
            nonlocal is_done
            await self._conclude(task_id, masking)
            is_done = True

        try:
            await in_grace(conclude, GRACE_SECONDS)
        except anyio.get_cancelled_exc_class():
            if not is_done:
                with anyio.CancelScope(shield=True):
                    await self._note_cut_off(task_id)
            raise

    async def _note_cut_off(self, task_id: str) -> None:
        """Record that it was not inspected. It stays open for the next inspection, at the latest at the next start."""
        for record in await self._store.worktrees(task_id):
            await self._store.record_worktree(task_id, "open", {**record.workspace.outcome, "problem": _CUT_OFF})

    @asynccontextmanager
    async def _at_work_in_anothers(self, shared: Workspace | None, variables: Variables) -> AsyncIterator[None]:
        """Inspect, at a run's end, a worktree that it shares with its owner: the owner may have ended before."""
        writes = shared is not None and shared.owner == "task" and shared.mode == "readwrite"
        found = await self._store.worktrees() if writes else []
        owners = [record for record in found if shared and self.folder(record.task_id) == Path(shared.path)]
        for owner in owners:
            await self._store.reopen_worktree(owner.task_id)
        try:
            yield
        finally:
            for owner in owners:
                await self._conclude_in_grace(owner.task_id, variables.ever)
            with anyio.CancelScope(shield=True):
                for owner in owners:
                    for record in await self._store.worktrees(owner.task_id):
                        if record.ended_at is None:  # the owner's own end inspects it again
                            await self._store.reopen_worktree(owner.task_id)

    async def _outcome(self, record: Record, masking: Masking) -> tuple[Checkout, WorktreeOutcome]:
        await to_thread.run_sync(_repository(record).check_place)
        known = await self._known(record)
        worktree = await self._worktree(record)
        if not worktree.tree.is_dir():
            return "clean", {"carried": known}
        finding = await worktree.look()
        masker = await masking()
        outcome: WorktreeOutcome = {
            "head": finding.head,
            "dirty": finding.dirty,
            **await stepped(finding.size, outcomes.shown(finding, masker, record.workspace.outcome)),
        }
        try:
            await self._carry(worktree, record, finding.head, known)
        except RemitError as error:
            return "dirty", {
                **outcome,
                "carried": known,
                "moving": finding.head,
                "problem": outcomes.failure_text(error, masker),
            }
        outcome["carried"] = finding.head
        if problem := outcomes.problem(finding, masker):
            return "dirty", {**outcome, "problem": problem}
        return "dirty" if finding.dirty else "clean", outcome

    async def _known(self, record: Record) -> str:
        """Return the last commit brought over, even if a server was killed before that was recorded."""
        moving = record.workspace.outcome.get("moving")
        if moving and await (await self._branch(record)).tip() == moving:
            return moving
        return _carried(record)

    async def _carry(self, worktree: Worktree, record: Record, head: str, known: str) -> None:
        """Bring the task's commits to its branch, which is then the user's to rename or remove."""
        if head == known:
            return
        branch = await self._branch(record)
        before, checkout = record.workspace.outcome.copy(), record.workspace.checkout or "open"
        await self._store.record_worktree(record.task_id, checkout, {**before, "carried": known, "moving": head})
        if head != _repository(record).base:
            async with self._stage() as stage:
                await worktree.bring(head, known, branch, stage)

        async def move() -> None:
            await branch.move(head, known)
            before.pop("moving", None)
            await self._store.record_worktree(record.task_id, checkout, {**before, "carried": head})

        await in_grace(move, MOVE_SECONDS)

    async def _branch(self, record: Record) -> Branch:
        return Branch(_repository(record), branch_of(record.task_id), await self._sandbox(), self._policy(record))

    def _policy(self, record: Record) -> SandboxPolicy:
        folder = self._workspaces.path(record.task_id)
        return sandbox_policy.policy(self._settings, record.agent, record.demands, WorkingDirectory(folder, folder))

    async def _worktree(self, record: Record) -> Worktree:
        folder = self._workspaces.path(record.task_id)
        return Worktree(_repository(record), folder, await self._sandbox(), self._policy(record))

    @asynccontextmanager
    async def _stage(self) -> AsyncIterator[Path]:
        """Yield an empty folder, removed after the block, or at the next start if the server is killed."""
        stage = await to_thread.run_sync(self._workspaces.make_stage)
        try:
            yield stage
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(partial(delete_tree, stage))


def _in_use(record: Record) -> RemitError:
    user = f"the task {record.task_id}" if record.ended_at is None else "a sub-task that works in it"
    return RemitError(
        Code.CONFLICT, f"the worktree of task {record.task_id} is in use: {user} has not ended", id=record.task_id
    )


def _repository(record: Record) -> Repository:
    assert record.workspace.repository
    return repository_of(record.workspace.repository)


def _carried(record: Record) -> str:
    """Return the task's last commit that is in the user's repository; the base if it has none of its own."""
    return record.workspace.outcome.get("carried", _repository(record).base)
