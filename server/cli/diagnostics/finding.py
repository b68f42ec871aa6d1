"""What `remit doctor` has found of one thing that it has looked at."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. A `problem` keeps tasks from running, `advice` does not."""

    name: str
    told: str
    problem: str | None = None
    advice: tuple[str, ...] = ()
