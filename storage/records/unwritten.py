"""The data of a run that could not be written before the run ended."""

from dataclasses import dataclass, field

from storage.records.calls import CallResult
from storage.records.events import RunEvent
from storage.records.masked import MaskedText
from storage.records.workspaces import FolderNotes


@dataclass(slots=True)
class Unwritten:
    """Data of a run that is still to be written; it is written in the transaction that ends the run."""

    events: list[RunEvent] = field(default_factory=list)
    results: dict[str, CallResult] = field(default_factory=dict)
    """Results of calls, by call id; one may be stored already, if the run was stopped during that write."""

    outputs: dict[str, tuple[MaskedText, int]] = field(default_factory=dict)
    """For interrupted calls, by id: the output so far, and the number of characters of it that were dropped."""

    folder: FolderNotes = field(default_factory=FolderNotes)
    """Notes about the folder that the task writes."""
