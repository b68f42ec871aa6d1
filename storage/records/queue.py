"""The demand for slots, which the scheduler tells the queue, as a frozen record."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SlotDemand:
    """The competitors for the next free slot, as far as the server knows."""

    full: Collection[str] = ()
    """Ids of tasks whose sub-tasks may not take another slot."""

    waiting: Collection[int] = ()
    """Numbers (`seq`) of tasks whose processes wait for their sub-tasks."""

    shares: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """For each principal served so far: how many of its tasks run, and the serial number of its last turn."""


NO_DEMAND = SlotDemand()
