"""`remit server status` and `remit server stop`: what the hello alone can say and do."""

import json as jsonlib
import os
import select
import sys

from server.errors import Code, RemitError
from server.hello import Greeting, reach
from server.places import Places, find_places
from server.start import PATIENCE, Deadline


def status(json: bool) -> int:
    """Print whether a server runs for this state folder, and what it does; 1 if none runs.

    Raises:
        RemitError: `TIMEOUT`, if there is one and it does not answer.
    """
    places = find_places()
    with Deadline(PATIENCE, f"the server has not answered for {PATIENCE:.0f} s; its log is {places.log}"):
        link = reach(places, "status", "terminal")
    greeting = link.greeting if link else None
    if link:
        link.close()
    if json:
        print(jsonlib.dumps({"state": places.state, "server": greeting and greeting.fields}))
    else:
        print(_description(greeting) if greeting else f"no server runs for {places.state}")
    return 0 if greeting else 1


def stop(force: bool, json: bool) -> int:
    """End the server and wait until it is gone; 1 if it refused, because it is busy and `force` was not given."""
    places = find_places()
    try:
        greeting = end(places, force=force)
    except RemitError as error:
        if json:
            print(jsonlib.dumps({"error": {"code": error.code, "message": error.message}}))
        else:
            way = "; `remit server stop --force` ends it all the same" if error.code is Code.CONFLICT else ""
            print(f"remit: {error.message}{way}", file=sys.stderr)
        return 1
    if json:
        print(jsonlib.dumps({"stopped": greeting is not None, "server": greeting and greeting.fields}))
    else:
        print(f"stopped (pid {greeting.pid})" if greeting else f"no server runs for {places.state}")
    return 0


def end(places: Places, *, force: bool) -> Greeting | None:
    """End the server and wait until its process is gone; return what it said of itself, None if there was none.

    Raises:
        RemitError: `CONFLICT`, if it is busy and `force` was not given; `TIMEOUT`, if it does not end.
    """
    with Deadline(PATIENCE, f"the server was asked to end {PATIENCE:.0f} s ago and is still there"):
        link = reach(places, "stop", "terminal", force=force)
        if link is None:
            return None
        link.close()
        _wait_for_end(link.greeting.pid)
        return link.greeting


def _wait_for_end(pid: int) -> None:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([process], [], [])
    finally:
        os.close(process)


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
