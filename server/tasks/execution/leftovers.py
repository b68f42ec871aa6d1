"""Processes that a dead server left running, and their end."""

from collections.abc import Iterable
from pathlib import Path

from server.errors import Code, RemitError
from server.runner.cgroups.hierarchy import end_leftover_groups
from server.runner.process import ProcessMark, end_leftover
from storage.records.recovery import Leftover


def end_leftovers(leftovers: Iterable[Leftover], state: Path) -> None:
    """End the processes that a dead server of this state folder left, known by their marks or control groups.

    Blocks. Raises RemitError (INTERRUPTED): when a process cannot be ended.
    """
    for leftover in leftovers:
        for process in leftover.processes:
            _end(ProcessMark(**process))
    end_leftover_groups(state / "scratch")


def _end(process: ProcessMark) -> None:
    try:
        end_leftover(process)
    except TimeoutError as error:
        message = (
            f"process {process.pid}, left by a server that died, cannot be ended: {error}; end it, then start again"
        )
        raise RemitError(Code.INTERRUPTED, message) from None
