"""The context of a run: what all its parts share."""

from dataclasses import dataclass

from server.config import Settings
from server.tasks.execution.record import RunRecord
from server.tasks.execution.shortage import ShortageWait
from server.tasks.execution.slot import Slot
from server.tasks.secrets.variables import Variables
from storage.records.tasks import Claim, Run, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """One run as its parts know it: what was claimed, where it is recorded, and the limits it keeps to."""

    slot: Slot
    """What was claimed, and the run's clock."""

    record: RunRecord
    variables: Variables
    shortage: ShortageWait
    settings: Settings
    """The limits of the settings; `server.tasks.sandbox_policy` lowers them to what the task demands."""

    @property
    def claim(self) -> Claim:
        """The run, its task and turn, as they were claimed."""
        return self.slot.claim

    @property
    def run(self) -> Run:
        """The run."""
        return self.slot.claim.run

    @property
    def task(self) -> Task:
        """The task as it was claimed."""
        return self.slot.claim.task
