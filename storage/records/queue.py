"""What the next run may take, as a frozen record."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SlotDemand:
    """Who has a claim to the next place, as far as the server knows."""

    full: Collection[str] = ()
    """The ids of tasks beneath which no more may be at work."""

    waiting: Collection[int] = ()
    """The numbers of tasks whose processes wait for what is beneath them."""

    shares: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """For each principal that has been served how many of its tasks are at work, and as the how-manieth of all it was
    served last."""


NO_DEMAND = SlotDemand()
