"""What one window costs the others that sends thousands of calls and reads no answer."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from benchmarks.client import Window
from benchmarks.contestants import Home, rss_mb, temporary_home
from benchmarks.effort import Effort
from benchmarks.measure import Row, Target, milliseconds

UNREAD = 10_000  # calls
TASKS = 50  # what a page of list_tasks holds


def rows(effort: Effort) -> Iterator[Row]:
    """list_tasks of another window, beside that one and alone, and the server's memory."""
    with temporary_home() as home, home.window() as remit:
        for _ in range(TASKS):
            remit.call("create_task", message="work for others", agentId="none")
        alone = [milliseconds(lambda: remit.call("list_tasks")) for _ in range(effort.calls)]
        before = _server_mb(home)
        with home.window() as deaf, _flooded(deaf):
            beside = [milliseconds(lambda: remit.call("list_tasks")) for _ in range(effort.calls)]
            after = _server_mb(home)
        yield Row(
            name=f"list_tasks beside a window with {UNREAD} unread calls",
            unit="ms",
            measured=beside,
            against="alone",
            baseline=alone,
            target=Target("ratio", "≤", 3),
        )
        yield Row(
            name=f"memory of the server with {UNREAD} unread calls",
            unit="MB",
            measured=[after],
            against="before them",
            baseline=[before],
            target=Target("difference", "≤", 50),
        )


@contextmanager
def _flooded(window: Window) -> Iterator[None]:
    """Send the calls, as fast as they are read, while the block runs; then kill the window."""

    def flood() -> None:
        with suppress(BrokenPipeError):
            for _ in range(UNREAD):
                window.ask("tools/call", name="list_tasks", arguments={})

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        yield
    finally:
        window.kill()
        thread.join()


def _server_mb(home: Home) -> float:
    pid = home.server_pid()
    assert pid
    return rss_mb(pid)
