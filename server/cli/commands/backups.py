"""The commands `remit backup` and `remit restore`."""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from server.backups.archive import SkippedFiles
from server.backups.restore import RestoreReport
from server.backups.restore import restore as restore_backup
from server.backups.writer import BackupReport, write_backup
from server.cli.console import one_line
from server.cli.printing import print_answer
from server.daemon.ownership import refuse_upkeep
from server.daemon.paths import find_state_paths
from server.limits import MIB, SHORT_ID
from server.tasks.views.formatting import time_or_none

SHOWN = 20
"""Task ids printed per kind; `--json` has all."""


def backup(arguments: Namespace) -> int:
    """Run `remit backup`.

    Raises UnderWay while another command changes the state folder, and what `write_backup` raises.
    """
    paths = find_state_paths()
    refuse_upkeep(paths)
    written = write_backup(Path(paths.state), Path(arguments.file).absolute(), folders=arguments.folders)
    answer: dict[str, Any] = {"file": str(written.file), "bytes": written.size, "tasks": written.tasks}
    if written.folders is not None:
        answer |= {"folders": written.folders, **_left_out(written.left_out)}
    print_answer(arguments, answer, _written(written))
    return 0


def restore(arguments: Namespace) -> int:
    """Run `remit restore`: replace the contents of the state folder by a backup.

    Raises what `backups.restore` raises.
    """
    source = Path(arguments.file).absolute()
    restored = restore_backup(find_state_paths(), source)
    answer = {
        "file": str(source),
        "tasks": restored.tasks,
        "latestEventAt": time_or_none(restored.latest),
        "interruptedTaskIds": restored.held.interrupted,
        "pausedTaskIds": restored.held.paused,
        "awaitingApprovalTaskIds": restored.held.awaiting_approval,
        "withoutFolderTaskIds": restored.missing,
        "keptIn": restored.kept_in and str(restored.kept_in),
        "recovered": restored.recovered,
        **_left_out(restored.left_out),
    }
    print_answer(arguments, answer, _restored(restored))
    return 0


def _written(written: BackupReport) -> Iterator[str]:
    folders = "" if written.folders is None else f" and the folders of {written.folders}"
    yield f"{written.tasks} tasks{folders}, {written.size / MIB:.1f} MiB, checked: {written.file}"
    yield from _left_out_lines(written.left_out)


def _restored(restored: RestoreReport) -> Iterator[str]:
    latest = time_or_none(restored.latest)
    if restored.recovered:
        yield f"before that: {one_line(restored.recovered)}"
    yield f"{restored.tasks} tasks are there again" + (
        f", as they were {latest}; what came later is not" if latest else ""
    )
    yield from _listed(restored.held.interrupted, "failed, cut off in a call when the backup was made")
    yield from _listed(restored.held.paused, "paused, since they may have gone on after the backup: remit send ID")
    yield from _listed(restored.held.awaiting_approval, "wait for approval that may have been given after the backup")
    yield from _listed(restored.missing, "are without their folders, which are neither in the backup nor here")
    yield from _left_out_lines(restored.left_out)
    if restored.kept_in:
        yield f"what was there is kept in {restored.kept_in}; delete it when you do not need it any more"


def _listed(ids: list[str], what: str) -> Iterator[str]:
    if ids:
        more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
        yield f"{len(ids)} {what}: {' '.join(each[:SHORT_ID] for each in ids[:SHOWN])}{more}"


def _left_out(left_out: SkippedFiles) -> dict[str, Any]:
    return {"leftOut": left_out.names, "leftOutCount": left_out.count}


def _left_out_lines(left_out: SkippedFiles) -> Iterator[str]:
    yield from (f"left out: {one_line(name)}" for name in left_out.names)
    if more := left_out.count - len(left_out.names):
        yield f"left out: {more} more"
