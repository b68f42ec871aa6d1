"""The finding of one check of `remit doctor`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check. A `problem` keeps tasks from running, `advice` does not."""

    name: str
    told: str
    problem: str | None = None
    advice: tuple[str, ...] = ()
