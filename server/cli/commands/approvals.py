"""Commands for approvals: deciding waiting calls, and listing and revoking grants."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from server.cli.approval_prompt import question
from server.cli.client import ELSEWHERE, Client, open_client
from server.cli.console import Screen, age, clipped, one_line, width
from server.cli.printing import print_answer
from server.cli.terminal import open_terminal
from server.errors import Code, RemitError
from server.limits import MAX_ANSWER

if TYPE_CHECKING:
    from server.tasks.views.pending_approval import GrantsView, PendingApprovalView
    from server.tasks.views.view_models import ApprovedView, TaskView


_WORDS = {"proceed_once": "approved", "proceed_always": "approved for this session", "cancel": "rejected"}


def approve(arguments: Namespace) -> int:
    """Run `remit approve`: let a waiting call proceed."""
    return _decide(arguments, "proceed_always" if arguments.always else "proceed_once")


def reject(arguments: Namespace) -> int:
    """Run `remit reject`: refuse a waiting call."""
    return _decide(arguments, "cancel")


def grants(arguments: Namespace) -> int:
    """Run `remit grants`: list the grants in force."""
    with open_client() as client:
        answer: GrantsView = client.call("list_grants")
    print_answer(arguments, answer, list(_grant_lines(answer)))
    return 0


def revoke(arguments: Namespace) -> int:
    """Run `remit revoke`: revoke a grant."""
    with open_client() as client:
        answer = client.call("revoke_grant", id=arguments.grant)
    print_answer(arguments, answer, [f"revoked {answer['id']}; what it has let pass stays done"])
    return 0


def waiting_call(calls: list[PendingApprovalView], beginning: str | None, status: str) -> PendingApprovalView:
    """Return the waiting call whose id has this prefix, or the only one.

    Raises RemitError (CONFLICT) if none or several match. A person decides only what was shown, so the call must wait
    already.
    """
    found = [call for call in calls if call["callId"].startswith(beginning or "")]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(call["callId"] for call in found)
        raise RemitError(Code.CONFLICT, f"{len(found)} calls wait for approval; name one of {names}")
    which = f"no call {beginning!r}" if beginning else "nothing"
    raise RemitError(Code.CONFLICT, f"{which} waits for approval in this task, which is {status}")


def _decide(arguments: Namespace, outcome: str) -> int:
    with open_client() as client:
        task: TaskView = client.call("get_task", id=arguments.id, maxChars=MAX_ANSWER)
        call = waiting_call(task.get("pendingApprovals", []), arguments.call, task["status"])
        if not _confirmed(client, call, outcome):
            Screen(sys.stderr).print("nothing was decided")
            return 1
        answer: ApprovedView = client.call(
            "approve_tool_call",
            id=task["id"],
            callId=call["callId"],
            call=call["call"],
            outcome=outcome,
            message=arguments.reason,
        )
    print_answer(arguments, answer, [f"{_WORDS[outcome]}; the task is {answer['status']}"])
    return 0


def _confirmed(client: Client, call: PendingApprovalView, outcome: str) -> bool:
    """Show the call; if approvals need a person, ask for confirmation at a terminal.

    Raises RemitError (FORBIDDEN) without a person's terminal.
    """
    if client.call("list_agents")["approvals"] != "person":
        for line in question(call):
            Screen(sys.stderr).print(line)
        return True
    if not client.is_person:
        raise RemitError(Code.FORBIDDEN, ELSEWHERE)
    with open_terminal() as terminal:
        if terminal is None:
            raise RemitError(
                Code.FORBIDDEN, 'approvals are given by a person here (approvals = "person"): run this in a terminal'
            )
        for line in question(call):
            terminal.say(line)
        verb = "reject" if outcome == "cancel" else "approve"
        answer = terminal.ask(f"{verb} this call{' and similar ones' if outcome == 'proceed_always' else ''}? [y/N] ")
    return (answer or "").strip().lower() in {"y", "yes"}


def _grant_lines(answer: GrantsView) -> list[str]:
    if not answer["grants"]:
        return ["no grants are in force"]
    return [
        clipped(
            f"{grant['id']}  {age(grant['createdAt']):>4} ago by {one_line(grant['grantedBy'])}, "
            f"task {(grant['taskId'] or 'gone')[:8]}  {one_line(grant['description'])}",
            width(),
        )
        for grant in answer["grants"]
    ]
