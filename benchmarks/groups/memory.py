"""Resident memory: of a window's pipe, of the server, and what a task that waits adds to it."""

from collections.abc import Iterator

from benchmarks.client import Window
from benchmarks.contestants import all_settled, bare_window, rss_mb, temporary_home
from benchmarks.effort import Effort
from benchmarks.measure import Row, Target

WARM_UP = 50  # tasks; what the first ones make the server load and allocate is not theirs


def rows(effort: Effort) -> Iterator[Row]:
    """Sizes are in MB of 10^6 and kB of 10^3 bytes."""
    with temporary_home() as home, home.window() as remit, bare_window() as bare:
        for window in (remit, bare):
            window.request("tools/list")
        server = home.server_pid()
        assert server
        against = [rss_mb(bare.pid)]
        yield Row(
            name="memory of a window (the pipe)",
            unit="MB",
            measured=[rss_mb(remit.pid)],
            against="bare",
            baseline=against,
            target=Target("value", "≤", 12),
        )
        yield Row(
            name="memory of the server, idle", unit="MB", measured=[rss_mb(server)], against="bare", baseline=against
        )
        yield _waiting_task(remit, server, effort.waiting)


def _waiting_task(remit: Window, server: int, count: int) -> Row:
    _create_waiting(remit, WARM_UP)
    before = rss_mb(server)
    _create_waiting(remit, count)
    return Row(
        name=f"memory of a waiting task, mean of {count}",
        unit="kB",
        measured=[(rss_mb(server) - before) / count * 1000],
        target=Target("value", "≤", 20),
    )


def _create_waiting(remit: Window, count: int) -> None:
    for _ in range(count):
        remit.call("create_task", message="$ echo 'not before it is approved'", autoExecute=False)
    all_settled(remit)
