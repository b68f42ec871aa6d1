"""`remit doctor`: checks whether tasks can run here, and reports what the sandbox does not enforce."""

import os
import platform
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import anyio

from server.backups.replacement import cut_off
from server.backups.schedule import BackupFolder
from server.cli.client import ELSEWHERE, is_persons
from server.cli.commands.server import silent
from server.cli.console import Screen, one_line
from server.cli.diagnostics import bundle
from server.cli.diagnostics.database import of_changes, of_database
from server.cli.diagnostics.finding import Finding
from server.cli.printing import print_answer
from server.config import BackupSettings, RetentionSettings, Settings, load
from server.daemon.file_systems import refuse_remote
from server.daemon.handshake import reach
from server.daemon.launch import PATIENCE, Deadline, unanswered
from server.daemon.ownership import owner
from server.daemon.paths import DATABASE, StatePaths, find_state_paths
from server.errors import RemitError
from server.limits import DAY
from server.runner.detection import find_sandbox
from server.tasks.maintenance import doubt
from server.tier_names import TierName, Wanted, stronger_than
from server.version import VERSION
from storage.database_files import inspect, library_version, read_clock, wal_reset_is_fixed
from storage.times import now

_FORCE = "`remit server stop --force` ends it"


def examine(arguments: Namespace) -> int:
    """Run `remit doctor`, without a server and without creating anything; returns 1 if tasks could not run.

    With `--bundle`, the findings and what else a bug report needs are written to a file.
    """
    paths = find_state_paths()
    findings = list(_findings(paths))
    if arguments.bundle is not None:
        return _bundle(arguments, paths, findings)
    ready = not any(finding.problem for finding in findings)
    answer = {"ready": ready, "findings": [asdict(finding) for finding in findings]}
    print_answer(arguments, answer, _lines(findings, ready))
    return 0 if ready else 1


def _bundle(arguments: Namespace, paths: StatePaths, findings: list[Finding]) -> int:
    path = Path(arguments.bundle) if arguments.bundle else bundle.default_path()
    settings, _ = _settings(paths)
    parts = bundle.write(path, paths, settings, [asdict(finding) for finding in findings])
    answer = {"bundle": str(path), "parts": [{"name": part.name, "about": part.about} for part in parts]}
    print_answer(arguments, answer, _bundle_lines(path, parts))
    return 0


def _bundle_lines(path: Path, parts: list[bundle.BundleFile]) -> Iterator[str]:
    yield f"{one_line(str(path))} holds, without secrets and without what tasks say:"
    yield from (f"  {part.name:<14}{part.about}" for part in parts)
    yield "names of folders, files and this machine are in it: read it before you give it away"


def _findings(paths: StatePaths) -> Iterator[Finding]:
    yield Finding(name="remit", told=f"{VERSION}, Python {platform.python_version()}, {platform.platform()}")
    yield _state_folder(paths)
    settings, finding = _settings(paths)
    yield finding
    yield _sandbox(settings.sandbox if settings else "auto")
    yield _sqlite()
    yield of_database(Path(paths.state))
    yield from _clock(Path(paths.state) / DATABASE)
    yield from of_changes(Path(paths.state))
    if settings:
        yield _retention(settings.retention)
        yield _backups(Path(paths.state), settings.backup)
    yield from _restore(paths)
    yield _server(paths)


def _state_folder(paths: StatePaths) -> Finding:
    if not os.path.lexists(paths.state):
        return Finding(name="state folder", told=f"{paths.state}, to be made by the first start")
    try:
        paths.prepare()
        paths.check_writable()
        refuse_remote(paths.state)
    except RemitError as error:
        return Finding(name="state folder", told=paths.state, problem=error.message)
    return Finding(name="state folder", told=paths.state)


def _settings(paths: StatePaths) -> tuple[Settings | None, Finding]:
    there = os.path.exists(paths.config)
    told = paths.config if there else f"defaults; {paths.config} is not there"
    try:
        return load(Path(paths.config)), Finding(name="settings", told=told)
    except RemitError as error:
        return None, Finding(name="settings", told=told, problem=error.message)


def _sandbox(wanted: Wanted) -> Finding:
    try:
        sandbox = anyio.run(find_sandbox, wanted)
    except RemitError as error:
        return Finding(name="sandbox", told="unavailable: tasks are refused", problem=error.message)
    gaps = tuple(f"does not hold: {gap}" for gap in sandbox.gaps)
    missing = _stronger(sandbox.tier) if wanted == "auto" else ()
    groups = f"; control groups hold: {', '.join(sorted(sandbox.grouped))}" if sandbox.grouped else ""
    return Finding(name="sandbox", told=f"{sandbox.tier}{groups}", advice=(*missing, *gaps))


def _stronger(found: TierName) -> Iterator[str]:
    """Yield why each stronger tier than the one that was found is not available."""
    for tier in stronger_than(found):
        try:
            anyio.run(find_sandbox, tier)
        except RemitError as error:
            yield f"for the stronger tier, {tier}: {error.message}"


def _sqlite() -> Finding:
    version = library_version()
    told = ".".join(map(str, version))
    if wal_reset_is_fixed(version):
        return Finding(name="SQLite", told=told)
    warning = (
        "this version can, very rarely, damage a database when two connections checkpoint at the same instant; "
        "fixed in SQLite 3.51.3, 3.50.7 and 3.44.6: use a Python that brings one of them"
    )
    return Finding(name="SQLite", told=told, advice=(warning,))


def _clock(path: Path) -> Iterator[Finding]:
    """Yield a finding if the time of day is doubted."""
    with suppress(RemitError):
        clock, at = read_clock(path) if path.exists() else None, now()
        if clock and clock.doubts(at):
            yield Finding(name="clock", told="far ahead", advice=(doubt(clock, at),))


def _retention(settings: RetentionSettings) -> Finding:
    kept = ", ".join(f"{name} {_period(value)}" for name, value in settings)
    return Finding(name="kept", told=f"after a task's end: {kept}")


def _backups(state: Path, settings: BackupSettings) -> Finding:
    if settings.folder is None:
        return Finding(name="backups", told="none by itself; the setting backup.folder has them written every day")
    try:
        found = inspect(state / DATABASE)
        kept = BackupFolder(state, found.identity, settings).kept() if found and found.identity else []
    except RemitError as error:
        return Finding(name="backups", told="none", problem=error.message)
    except OSError as error:
        return Finding(name="backups", told="none", advice=(f"{settings.folder}: {error.strerror}",))
    at = datetime.now(UTC)
    latest = max((each.at for each in kept if each.at <= at), default=None)
    if latest is None:
        return Finding(name="backups", told=f"none yet in {settings.folder}")
    age = at - latest
    late = f"the latest is {age.days} days old; if a server runs meanwhile, its log says why"
    told = f"{len(kept)} in {settings.folder}, the latest of {latest.isoformat()}"
    return Finding(name="backups", told=told, advice=(late,) if age.total_seconds() > 2 * settings.interval else ())


def _restore(paths: StatePaths) -> Iterator[Finding]:
    """Yield a finding if a restore was interrupted."""
    with suppress(OSError):
        if not owner(paths) and (told := cut_off(Path(paths.state))):
            yield Finding(name="restore", told=told, advice=("the next start, or restore, undoes or completes it",))


def _period(kept: int | str) -> str:
    return f"{kept / DAY:g} days" if isinstance(kept, int) else kept


def _server(paths: StatePaths) -> Finding:
    try:
        with Deadline(PATIENCE, lambda: unanswered(paths, f"has not answered for {PATIENCE:.0f} s")):
            link = reach(paths, "status", "terminal")
    except RemitError as error:
        return Finding(name="server", told="not usable", problem=error.message)
    if link is None:
        found = owner(paths)
        if found is not None:
            problem = found.upkeep or f"{silent(paths, found)}; {_FORCE}"
            return Finding(name="server", told="not usable", problem=problem)
        return Finding(name="server", told="does not run; it starts when it is needed")
    link.close()
    told = f"runs, version {link.greeting.version}, pid {link.greeting.pid}"
    return Finding(name="server", told=told, advice=() if is_persons(link.greeting) else (ELSEWHERE,))


def _lines(findings: list[Finding], ready: bool) -> Iterator[str]:
    screen = Screen(sys.stdout)
    for finding in findings:
        yield f"{finding.name:<13}{one_line(finding.told)}"
        if finding.problem:
            yield f"  {screen.paint('problem:', 'red')} {one_line(finding.problem)}"
        yield from (f"  {one_line(advice)}" for advice in finding.advice)
    yield screen.paint("tasks can run here", "green") if ready else screen.paint("tasks cannot run here", "red")
