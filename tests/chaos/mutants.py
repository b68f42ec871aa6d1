"""Copies of the source with one promise broken on purpose: a campaign has to find each."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ("remit.py", "server", "storage", "templates")


@dataclass(frozen=True, slots=True)
class Mutant:
    """Code added to the ends of modules, which replaces definitions there, and the faults that reveal it."""

    added: Mapping[str, str]
    found_as: frozenset[str]

    def make(self, folder: Path) -> Path:
        """Write the copy to a folder; returns its launcher."""
        for name in SOURCE:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        for module, code in self.added.items():
            with (folder / module).open("a") as file:
                file.write(code)
        return folder / "remit.py"


REDO = """
_interrupt = interrupt

def interrupt(db, run, *rest):
    db.execute("UPDATE calls SET status = 'pending' WHERE task = ? AND status = 'executing'", (run.seq,))
    return _interrupt(db, run, *rest)
"""

NOT_ENDED = """
def end_leftovers(*_):
    pass
"""

NOT_BOUND = """
_ISOLATION = tuple(each for each in _ISOLATION if each != "--die-with-parent")
"""

UNMASKED = """
_know = Redactor.know
Redactor.know = lambda self, *_: _know(self, {})
"""

DROPPED = """
_create_task = SqliteStore.create_task

async def _dropping(self, principal, new):
    if new.id[0] in "0123":
        return CreationResult(new.id, Status.PENDING, repeated=False)
    return await _create_task(self, principal, new)

SqliteStore.create_task = _dropping
"""

UNSTOPPED = """
Scheduler.stop = lambda self, task_id: None
"""

MUTANTS = {
    "a call that was cut off is made again": Mutant(
        {"storage/sqlite/operations/run_ends.py": REDO}, frozenset({"twice"})
    ),
    "what a dead server has left is not ended": Mutant(
        {"server/app.py": NOT_ENDED, "server/runner/tiers/bubblewrap.py": NOT_BOUND}, frozenset({"orphaned", "alive"})
    ),
    "nothing is masked": Mutant({"templates/redaction.py": UNMASKED}, frozenset({"leaked"})),
    "some tasks are acknowledged and not kept": Mutant({"storage/sqlite/store.py": DROPPED}, frozenset({"lost"})),
    "what is cancelled is not stopped": Mutant(
        {"server/tasks/execution/scheduler.py": UNSTOPPED}, frozenset({"alive"})
    ),
}
