"""What was set aside in a folder of the person's, since their git could have executed it: told in the task."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from anyio import to_thread

from server.errors import Code, RemitError
from server.runner.scanning import traps
from server.tasks.events.event_writer import Log
from storage.records.tasks import Leftover, NewEvent, Run
from storage.records.workspaces import Workspace, WorktreeRecord
from storage.sqlite.store import Store
from templates.redaction import Redactor

_UNNAMED = (
    "something was set aside that git could have executed; its name is not shown, since it may hold a secret: "
    "`find . -name '*.aside-remit-*'` in the folder lists it"
)


class Notes(Log, Protocol):
    """Where it is kept."""

    async def note_folder(self, task_id: str, **changes: object) -> None:
        """Note something of a folder that a task writes itself."""
        ...


def before(workspace: Workspace | None) -> list[str]:
    """What a task has been told already of the folder it works in."""
    told: list[str] = ((workspace and workspace.outcome) or {}).get("disarmed", [])
    return told


async def tell(notes: Notes, run: Run, known: Sequence[str], found: Sequence[str], **about: Any) -> list[str]:
    """Keep with a task what was `found` just now, and put what is new in its log; returns that with what is `known`.

    It must be masked. `about` goes to each entry of the log.
    """
    every = traps.told([*known, *found])
    await notes.note_folder(run.task_id, disarmed=every)
    new = [each for each in found if each not in known]
    events = [NewEvent("error", {"code": Code.FORBIDDEN, "message": each, **about}) for each in new]
    with suppress(RemitError):  # a run that has lost its task has nothing more to tell
        await notes.append_events(run, events)
    return every


async def tell_interrupted(store: Store, leftovers: Sequence[Leftover], left: Mapping[Path, Sequence[str]]) -> None:
    """Tell each run of a dead server, before it is settled, what was found in the folder that it writes."""
    for leftover in leftovers:
        workspace = leftover.workspace
        if workspace is not None and workspace.mode == "readwrite" and (found := left.get(Path(workspace.path))):
            redactor = None if await store.secrets_of_all_turns(leftover.run.task_id) else Redactor({})
            await tell(store, leftover.run, before(workspace), _masked(found, redactor))


async def of_worktree(
    tree: Path,
    state: Path,
    record: WorktreeRecord,
    masking: Callable[[], Awaitable[Redactor | None]],
    *,
    is_protected: bool,
) -> list[str]:
    """Set aside what a task has left in its worktree, and return all that is to be told of it.

    It lies in the state folder, `state`. `masking` is for the names in that, and `is_protected` says whether no command
    could change the worktree's own settings and hooks.
    """
    known = before(record.workspace)
    is_theirs = record.workspace.checkout != "open"  # looked at already: what came later is the person's
    if is_theirs or (record.demands or {}).get("allowHooks"):
        return known
    untouched = traps.untouched(tree, is_protected=is_protected)
    found = await to_thread.run_sync(traps.disarm, tree, untouched, state)
    return traps.told([*known, *(_masked(found, await masking()) if found else [])])


def _masked(found: Sequence[str], redactor: Redactor | None) -> list[str]:
    """What may be told; without a name where a secret may stand in it and could not be masked."""
    return traps.told([redactor.redact(each) if redactor else _UNNAMED for each in found])
