"""From the opening of a window to the answer of `tools/list`."""

import time
from collections.abc import Iterator

from benchmarks.client import ERAS, Era, Window
from benchmarks.contestants import Home, bare_window, temporary_home
from benchmarks.effort import Effort
from benchmarks.measure import Row, Target, in_turn


def rows(effort: Effort) -> Iterator[Row]:
    """With the server up and with the server down, in both eras of the protocol."""
    with temporary_home() as home:
        for era in ERAS:
            with home.window():  # starts the server
                pass
            yield _row(home, era, effort, "up", Target("ratio", "≤", 0.10))
        for era in ERAS:
            home.stop()
            yield _row(home, era, effort, "down", Target("ratio", "≤", 1.3))


def opened(window: Window) -> float:
    """Milliseconds from the start of a window's process until it has answered `tools/list`; then it is closed."""
    start = time.perf_counter()
    with window:
        window.request("tools/list")
        return (time.perf_counter() - start) * 1000


def _row(home: Home, era: Era, effort: Effort, server: str, target: Target) -> Row:
    def remit() -> float:
        taken = opened(home.window(era))
        if server == "down":
            home.stop()
        return taken

    measured, baseline = in_turn(effort.windows, remit, lambda: opened(bare_window(era)))
    return Row(
        name=f"window to tools/list, server {server}, {era}",
        unit="ms",
        measured=measured,
        against="bare",
        baseline=baseline,
        target=target,
    )
