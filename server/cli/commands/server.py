"""`remit server status` and `remit server stop`: by the handshake alone, and by a signal if that fails."""

import json as jsonlib
import os
import select
import signal
import sys
import time
from contextlib import closing, suppress
from io import FileIO

from server.daemon.handshake import Greeting, reach
from server.daemon.launch import PATIENCE, POLL, Deadline, unanswered
from server.daemon.ownership import Owner, Purpose, UnderWay, owner, refuse_upkeep
from server.daemon.paths import StatePaths, find_state_paths
from server.errors import Code, RemitError

SILENCE = 5.0
"""Seconds in which an owner that does not listen must begin to, or end; a server checks its socket every 2 s."""

FORCED = 10.0
"""Seconds for a server that is forced to end; one that ends ten process trees needs two."""


def status(json: bool) -> int:
    """Print whether a server runs for this state folder, and its load; returns 1 if none can be reached.

    Raises:
        RemitError: `TIMEOUT`, if there is one and it does not answer.
    """
    paths = find_state_paths()
    with Deadline(PATIENCE, lambda: unanswered(paths, f"has not answered for {PATIENCE:.0f} s")):
        link = reach(paths, "status", "terminal")
    greeting = link.greeting if link else None
    if link:
        link.close()
    found = Owner(greeting.pid, Purpose.SERVER) if greeting else owner(paths)
    if json:
        print(jsonlib.dumps({"state": paths.state, "server": greeting and greeting.fields, **_owner_fields(found)}))
    elif greeting:
        print(_description(greeting))
    else:
        print(f"no server runs for {paths.state}" if found is None else silent(paths, found))
    return 0 if greeting else 1


def silent(paths: StatePaths, found: Owner) -> str:
    """Return who owns a state folder without listening: a server, or a command that changes the folder."""
    return found.upkeep or (
        f"a server owns {paths.state} and does not listen there (pid {found.pid}): it is starting or ending, or it "
        f"hangs; its log is {paths.log}"
    )


def _owner_fields(found: Owner | None) -> dict[str, object]:
    return {"owner": found and found.pid, "purpose": found and found.purpose.name.lower()}


def stop(force: bool, json: bool) -> int:
    """End the server and wait until it is gone.

    Returns 1 if it refused, because it is busy and `force` was not given.
    """
    paths = find_state_paths()
    try:
        ended = end(paths, force=force)
    except RemitError as error:
        if json:
            print(jsonlib.dumps({"error": {"code": error.code, "message": error.message}}))
        else:
            can_force = error.code is Code.CONFLICT and not isinstance(error, UnderWay)
            way = "; `remit server stop --force` ends it all the same" if can_force else ""
            print(f"remit: {error.message}{way}", file=sys.stderr)
        return 1
    if json:
        print(jsonlib.dumps({"stopped": ended is not None, "server": ended}))
    else:
        print(_end_message(ended) if ended else f"no server runs for {paths.state}")
    return 0


def end(paths: StatePaths, *, force: bool) -> dict[str, object] | None:
    """End the server and wait until its process is gone; returns its greeting's fields, None if there was none.

    With `force`, one that does not answer is killed, by the pid that its lock tells; then only that is returned.

    Raises:
        RemitError: `CONFLICT`, if it is busy or does not listen, and `force` was not given; UnderWay in any case if the
    owner is not a server; `TIMEOUT`, if it does not end.
    """
    seconds = FORCED if force else PATIENCE
    try:
        with Deadline(seconds, lambda: unanswered(paths, f"was asked to end {seconds:.0f} s ago and is still there")):
            return _asked(paths, force=force)
    except RemitError as error:
        found = owner(paths)
        if not force or error.code is not Code.TIMEOUT or found is None or found.upkeep:
            raise
    _kill(paths, found)
    return {"pid": found.pid, "killed": True}


def _asked(paths: StatePaths, *, force: bool) -> dict[str, object] | None:
    """Ask the server to end, and wait for it. An owner that does not listen is waited for. Raises RemitError."""
    silent_until = time.monotonic() + SILENCE
    while (link := reach(paths, "stop", "terminal", force=force)) is None:
        refuse_upkeep(paths)
        if (found := owner(paths)) is None:
            return None
        if not force and time.monotonic() > silent_until:
            raise RemitError(Code.CONFLICT, silent(paths, found))
        time.sleep(POLL)
    link.close()
    _wait_for_end(link.greeting.pid)
    return link.greeting.fields


def _kill(paths: StatePaths, found: Owner) -> None:
    """Kill the server that owns the state folder, if it still does; the next start ends the processes it leaves."""
    with suppress(ProcessLookupError), closing(FileIO(os.pidfd_open(found.pid))) as process:
        if owner(paths) == found:  # its number was not given to another one
            signal.pidfd_send_signal(process.fileno(), signal.SIGKILL)
            select.select([process], [], [])


def _wait_for_end(pid: int) -> None:
    with suppress(ProcessLookupError), closing(FileIO(os.pidfd_open(pid))) as process:
        select.select([process], [], [])


def _end_message(ended: dict[str, object]) -> str:
    if ended.get("killed"):
        return (
            f"killed (pid {ended['pid']}): it did not end in {FORCED:.0f} s; the next start ends what it left running"
        )
    return f"stopped (pid {ended['pid']})"


def _description(greeting: Greeting) -> str:
    fields = greeting.fields
    rows = {
        "state folder": fields["state"],
        "started": fields["startedAt"],
        "connections": fields["connections"],
        "tasks": f"{fields['running']} running, {fields['waiting']} waiting",
        "secrets in memory": fields["secretsHeld"],
    }
    lines = [f"remit server {greeting.version} runs, pid {greeting.pid}"]
    return "\n".join(lines + [f"  {name:<18}{value}" for name, value in rows.items()])
