"""The processes that a server which died has left running, and their end."""

from collections.abc import Iterable
from pathlib import Path

from server.errors import Code, RemitError
from server.runner.cgroups.hierarchy import end_leftover_groups
from server.runner.process import ProcessMark, end_leftover
from storage.records.tasks import Leftover


def end_leftovers(leftovers: Iterable[Leftover], state: Path) -> None:
    """End what a dead server of the state folder, which is ours, left: known by its mark, or by its control group.

    Blocks. Raises RemitError (INTERRUPTED) for a process that cannot be ended.
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
