"""What a row of the table is: two series taken in turn, their medians, and the target they are held to."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal


class NotMeasured(Exception):
    """Why a group of rows has no figures on this machine."""


def milliseconds(action: Callable[[], object]) -> float:
    """How long `action` takes."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def in_turn(rounds: int, *actions: Callable[[], float]) -> list[list[float]]:
    """Run the actions one after the other, `rounds` times, so that noise of the machine hits all of them alike.

    A round before these, in which caches fill, is not counted.
    """
    taken = [[action() for action in actions] for _ in range(rounds + 1)]
    return [list(series) for series in zip(*taken[1:], strict=True)]


@dataclass(frozen=True, slots=True)
class Target:
    """A limit for the ratio of two medians, for their difference, or for remit's median alone."""

    of: Literal["ratio", "difference", "value"]
    sign: Literal["≤", "≥"]
    limit: float

    def met(self, row: "Row") -> bool:
        """Whether the row stays within it."""
        figure = {"ratio": row.ratio, "difference": row.difference, "value": row.value}[self.of]
        assert figure is not None
        return figure <= self.limit if self.sign == "≤" else figure >= self.limit

    def __str__(self) -> str:
        name = {"ratio": "ratio", "difference": "diff", "value": "remit"}[self.of]
        return f"{name} {self.sign} {self.limit:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: what was measured of remit and, in the same rounds, of what it is held against."""

    name: str
    unit: str
    measured: Sequence[float]
    against: str = ""
    baseline: Sequence[float] = ()
    target: Target | None = None

    @property
    def value(self) -> float:
        """Remit's median."""
        return median(self.measured)

    @property
    def ratio(self) -> float | None:
        """Remit's median over the other's."""
        return self.value / median(self.baseline) if self.baseline else None

    @property
    def difference(self) -> float | None:
        """Remit's median less the other's."""
        return self.value - median(self.baseline) if self.baseline else None

    def record(self) -> dict[str, Any]:
        """The row for the JSON file."""
        return {
            "name": self.name,
            "unit": self.unit,
            "remit": _summary(self.measured),
            "against": self.against or None,
            "baseline": _summary(self.baseline) if self.baseline else None,
            "ratio": self.ratio,
            "difference": self.difference,
            "target": str(self.target) if self.target else None,
            "met": self.target.met(self) if self.target else None,
        }


def p95(series: Sequence[float]) -> float:
    """The 95th percentile by nearest rank: with fewer than 20 values, the greatest."""
    return sorted(series)[math.ceil(0.95 * len(series)) - 1]


_LAYOUT = "{:<64} {:>4} {:>6} {:>6} {:>4}  {:<27} {:>6} {:>6} {:>6} {:>8}  {:<12} {}"

HEADING = _LAYOUT.format("what", "unit", "remit", "p95", "n", "against", "p50", "p95", "ratio", "diff", "target", "met")


def line(row: Row) -> str:
    """The row as a line beneath HEADING."""
    baseline = (_short(median(row.baseline)), _short(p95(row.baseline))) if row.baseline else ("", "")
    met = ("yes" if row.target.met(row) else "NO") if row.target else ""
    return _LAYOUT.format(
        row.name,
        row.unit,
        _short(row.value),
        _short(p95(row.measured)),
        len(row.measured),
        row.against,
        *baseline,
        "" if row.ratio is None else f"{row.ratio:.3f}",
        "" if row.difference is None else f"{row.difference:+.1f}",
        str(row.target or ""),
        met,
    ).rstrip()


def _summary(series: Sequence[float]) -> dict[str, float]:
    return {"p50": median(series), "p95": p95(series), "n": len(series)}


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"
