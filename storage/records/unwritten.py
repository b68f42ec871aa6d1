"""What a run could not put on record before it ended."""

from dataclasses import dataclass, field
from typing import Any

from storage.records.calls import CallResult
from storage.records.tasks import NewEvent


@dataclass(slots=True)
class Unwritten:
    """What a run has brought that could not be written so far: it is written with the run's end."""

    events: list[NewEvent] = field(default_factory=list)
    results: dict[str, CallResult] = field(default_factory=dict)
    """How calls ended, by their ids; one may be on record already, where the run was stopped while it was written."""

    outputs: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Of calls that were cut off, by their ids: what they have written, and the characters that were not kept of it."""

    folder: dict[str, Any] = field(default_factory=dict)
    """What was noted of the folder that the task writes."""
