"""Reports of files that were set aside in a user's folder because the user's git could have executed them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Unpack

from anyio import to_thread

from server.errors import Code, RemitError
from server.runner.scanning import traps
from server.tasks.events.event_writer import Log
from server.tasks.secrets.masking import NO_SECRETS, Masker, own_words
from storage.interface import Store
from storage.records.events import EventKind, RunEvent
from storage.records.masked import MaskedText
from storage.records.recovery import Leftover
from storage.records.tasks import Run
from storage.records.workspaces import FolderNotes, Workspace, WorktreeRecord

_UNNAMED = own_words(
    "something was set aside that git could have executed; its name is not shown, since it may hold a secret: "
    "`find . -name '*.aside-remit-*'` in the folder lists it"
)

_MORE = own_words(traps.MORE)


class Notes(Log, Protocol):
    """The places where such reports are kept: the task's log and its workspace record."""

    async def note_folder(self, task_id: str, **changes: Unpack[FolderNotes]) -> None:
        """Record changes of a task's workspace record."""
        ...


def before(workspace: Workspace | None) -> list[MaskedText]:
    """Return what was reported to a task before about its folder."""
    return list(workspace.outcome.get("disarmed", ())) if workspace else []


def told(found: Sequence[MaskedText]) -> list[MaskedText]:
    """Return the reports to keep: see `traps.told`."""
    return traps.told(found, _MORE)


async def tell(
    notes: Notes, run: Run, known: Sequence[MaskedText], found: Sequence[MaskedText], call_id: str | None = None
) -> list[MaskedText]:
    """Record what was `found` in the workspace record, and what is new of it in the task's log.

    Returns `known` with what is new. `call_id` is the call that left it.
    """
    every = told([*known, *found])
    await notes.note_folder(run.task_id, disarmed=every)
    new = [each for each in found if each not in known]
    events = [RunEvent(EventKind.ERROR, {"message": each}, Code.FORBIDDEN, call_id) for each in new]
    with suppress(RemitError):  # the run has lost its task: nobody reads this any more
        await notes.append_events(run, events)
    return every


async def tell_interrupted(store: Store, leftovers: Sequence[Leftover], left: Mapping[Path, Sequence[str]]) -> None:
    """Record for each run of a dead server, before it is settled, what was found in the folder that it writes."""
    for leftover in leftovers:
        workspace = leftover.workspace
        if workspace is not None and workspace.mode == "readwrite" and (found := left.get(Path(workspace.path))):
            masker = None if await store.secrets_of_all_turns(leftover.run.task_id) else NO_SECRETS
            await tell(store, leftover.run, before(workspace), _masked(found, masker))


async def of_worktree(
    tree: Path,
    state: Path,
    record: WorktreeRecord,
    masking: Callable[[], Awaitable[Masker | None]],
    *,
    is_protected: bool,
) -> list[MaskedText]:
    """Set aside what a task has left in its worktree for git to execute. Returns all reports about it.

    `state` is the state folder, which contains the worktree. `masking` masks the names of files. `is_protected`: no
    command could change the worktree's own settings and hooks.
    """
    known = before(record.workspace)
    is_theirs = record.workspace.checkout != "open"  # inspected before: what came later is the user's
    if is_theirs or record.demands.allow_hooks:
        return known
    untouched = traps.untouched(tree, is_protected=is_protected)
    found = await to_thread.run_sync(traps.disarm, tree, untouched, state)
    return told([*known, *(_masked(found, await masking()) if found else [])])


def _masked(found: Sequence[str], masker: Masker | None) -> list[MaskedText]:
    """Return the reports with names masked; without names if the masker is missing."""
    return told([masker.short(each) if masker else _UNNAMED for each in found])
