"""The prompt for approvals: a waiting call, shown in full, and the question to the person."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from server.characters import misleads, rewritten
from server.cli.console import clipped, decided
from server.cli.terminal import Terminal
from server.limits import TOOL_NAME
from server.tasks.views import call_line

if TYPE_CHECKING:
    from server.tasks.views.pending_approval import PendingApprovalView


_OUTCOMES = {"y": "proceed_once", "yes": "proceed_once", "a": "proceed_always", "n": "cancel", "no": "cancel"}


def question(call: PendingApprovalView, taken: int = 0) -> list[str]:
    """Return a waiting call in full, as lines in which nothing is hidden; `taken` as in `decided`."""
    args, differs = call["args"], call.get("differs", [])
    exact = str(args["command"] if args.keys() == {"command"} else json.dumps(args, indent=2))
    tool = clipped(rewritten(call["toolName"], misleads), TOOL_NAME)
    lines = [f"the tool {tool} wants to run ({call['callId']}):"]
    lines += [line for each in exact.split("\n") for line in decided(each, taken)]
    if differs:
        lines.append("what it does also depends on this, which nobody has approved yet in this task:")
        lines += [line for sentence in differs for line in decided(sentence, taken)]
    if call_line.line(call["toolName"], args, differs) != call["call"]:
        lines.append("  this is not all of it: the call is too long to be shown whole, so better say no")
    if len(lines) > shutil.get_terminal_size().lines:
        lines.append(f"  these are {len(lines) - 1} lines: scroll up to read them all")
    return lines


def ask(terminal: Terminal, call: PendingApprovalView) -> str | None:
    """Ask the person to decide a call; returns the outcome, None if they leave it open with Ctrl-D."""
    for line in question(call):
        terminal.say(line)
    always = "" if call.get("onceOnly") else "[a]lways for similar calls, "
    while (answer := terminal.ask(f"proceed? [y]es, {always}[n]o: ")) is not None:
        outcome = _OUTCOMES.get(answer.strip().lower())
        if outcome and (always or outcome != "proceed_always"):
            return outcome
    return None
