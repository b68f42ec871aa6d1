"""`remit server status` and `remit server stop`: what the hello alone can say and do, and a signal where it cannot."""

import json as jsonlib
import os
import select
import signal
import sys
import time
from contextlib import closing, suppress
from io import FileIO

from server.errors import Code, RemitError
from server.hello import Greeting, reach
from server.ownership import owner
from server.places import Places, find_places
from server.start import PATIENCE, POLL, Deadline, unanswered

SILENCE = 5.0
"""Seconds in which a server that owns its folder and does not listen is to begin to, or to end; it looks every 2 s."""

FORCED = 10.0
"""Seconds for a server that is forced to end; one that takes down ten trees of processes needs two."""


def status(json: bool) -> int:
    """Print whether a server runs for this state folder, and what it does; 1 if none runs that can be talked to.

    Raises:
        RemitError: `TIMEOUT`, if there is one and it does not answer.
    """
    places = find_places()
    with Deadline(PATIENCE, lambda: unanswered(places, f"has not answered for {PATIENCE:.0f} s")):
        link = reach(places, "status", "terminal")
    greeting = link.greeting if link else None
    if link:
        link.close()
    pid = greeting.pid if greeting else owner(places)
    if json:
        print(jsonlib.dumps({"state": places.state, "server": greeting and greeting.fields, "owner": pid}))
    elif greeting:
        print(_description(greeting))
    else:
        print(f"no server runs for {places.state}" if pid is None else silent(places, pid))
    return 0 if greeting else 1


def silent(places: Places, pid: int) -> str:
    """That a server owns a state folder and does not listen there."""
    return (
        f"a server owns {places.state} and does not listen there (pid {pid}): it is starting or ending, or it hangs; "
        f"its log is {places.log}"
    )


def stop(force: bool, json: bool) -> int:
    """End the server and wait until it is gone; 1 if it refused, because it is busy and `force` was not given."""
    places = find_places()
    try:
        ended = end(places, force=force)
    except RemitError as error:
        if json:
            print(jsonlib.dumps({"error": {"code": error.code, "message": error.message}}))
        else:
            way = "; `remit server stop --force` ends it all the same" if error.code is Code.CONFLICT else ""
            print(f"remit: {error.message}{way}", file=sys.stderr)
        return 1
    if json:
        print(jsonlib.dumps({"stopped": ended is not None, "server": ended}))
    else:
        print(_end_told(ended) if ended else f"no server runs for {places.state}")
    return 0


def end(places: Places, *, force: bool) -> dict[str, object] | None:
    """End the server and wait until its process is gone; return what it said of itself, None if there was none.

    With `force` one that does not answer is killed, by the number that its lock tells; that is all that is returned.

    Raises:
        RemitError: `CONFLICT`, if it is busy, or does not listen, and `force` was not given; `TIMEOUT`, if it does not
            end.
    """
    seconds = FORCED if force else PATIENCE
    try:
        with Deadline(seconds, lambda: unanswered(places, f"was asked to end {seconds:.0f} s ago and is still there")):
            return _asked(places, force=force)
    except RemitError as error:
        pid = owner(places)
        if not force or error.code is not Code.TIMEOUT or pid is None:
            raise
    _kill(places, pid)
    return {"pid": pid, "killed": True}


def _asked(places: Places, *, force: bool) -> dict[str, object] | None:
    """Ask for the end, and wait for it. One that owns the folder and does not listen is waited for."""
    silent_until = time.monotonic() + SILENCE
    while (link := reach(places, "stop", "terminal", force=force)) is None:
        if (pid := owner(places)) is None:
            return None
        if not force and time.monotonic() > silent_until:
            raise RemitError(Code.CONFLICT, silent(places, pid))
        time.sleep(POLL)
    link.close()
    _wait_for_end(link.greeting.pid)
    return link.greeting.fields


def _kill(places: Places, pid: int) -> None:
    """Kill the owner of the state folder, if it is that process; the next start ends what it leaves running."""
    with suppress(ProcessLookupError), closing(FileIO(os.pidfd_open(pid))) as process:
        if owner(places) == pid:  # still: its number was not given to another one
            signal.pidfd_send_signal(process.fileno(), signal.SIGKILL)
            select.select([process], [], [])


def _wait_for_end(pid: int) -> None:
    with suppress(ProcessLookupError), closing(FileIO(os.pidfd_open(pid))) as process:
        select.select([process], [], [])


def _end_told(ended: dict[str, object]) -> str:
    if ended.get("killed"):
        return (
            f"killed (pid {ended['pid']}): it did not end in {FORCED:.0f} s; the next start ends what it left running"
        )
    return f"stopped (pid {ended['pid']})"


def _description(greeting: Greeting) -> str:
    told = greeting.fields
    rows = {
        "state folder": told["state"],
        "started": told["startedAt"],
        "connections": told["connections"],
        "tasks": f"{told['running']} running, {told['waiting']} waiting",
        "secrets in memory": told["secretsHeld"],
    }
    lines = [f"remit server {greeting.version} runs, pid {greeting.pid}"]
    return "\n".join(lines + [f"  {name:<18}{value}" for name, value in rows.items()])
