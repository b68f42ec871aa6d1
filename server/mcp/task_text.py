"""Text of a task for models and people: its status in a few lines, and its own output in separate blocks.

The first block is remit's own: in it, text from the task is on one line, with invisible characters escaped. So are
the arguments of waiting calls, a block each. Then follows the output as it is. So no output can pose as a statement
about the task, even if a host shows all blocks as one text.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import accumulate

from server.characters import visible
from server.limits import MAX_WAIT_SECONDS
from server.tasks.approvals.circumstances import LONGEST_VALUE
from server.tasks.requests import request_models
from server.tasks.views import view_models
from server.tasks.views.formatting import one_line
from server.tasks.views.pending_approval import PendingApprovalView
from storage.records.states import ENDED, LOST, OUR_REASONS, RESTORED

_WIDTH = 200
"""Characters of a task's text on one of our lines."""

_ERROR = 600
"""Characters of its error."""

_DIFFERENCE = 2 * LONGEST_VALUE + 400
"""Characters of one difference from the last approval: two values of a variable, its name, and their hashes."""

_CALLS = 5
"""Latest calls, changed files and ids of other tasks that are shown."""


def task(view: view_models.TaskView, request: request_models.GetTask) -> list[str]:
    """Describe a task for a caller that may decide its calls.

    The blocks have at most `request.max_chars` characters in all, or LEAST_ANSWER if that is more.
    """
    return _blocks(view, request, "Ask the user, then decide each with approve_tool_call:")


def undecided(view: view_models.TaskView, request: request_models.GetTask) -> list[str]:
    """Describe a task for a window whose settings leave every decision to a person at a terminal."""
    return _blocks(view, request, f"Ask the user to decide each with `remit approve {view['id']}` in a terminal:")


def subtask(view: view_models.TaskView, request: request_models.GetTask) -> list[str]:
    """Describe a task for an agent, which decides nothing."""
    return _blocks(view, request, "A person decides:")


def _blocks(view: view_models.TaskView, request: request_models.GetTask, advice: str) -> list[str]:
    content = view["output"]["content"] if "output" in view else ""
    left = request.max_chars - len(content)
    bare = "\n".join(_lines(view, advice, 0))
    own = "\n".join(_lines(view, advice, left - len(bare)))
    left -= len(own)
    arguments = _fitting(_arguments(view), left)
    further = _fitting(_further(view), left - sum(map(len, arguments)))
    return [own, *arguments, *([content] if content else []), *further]


def _fitting(blocks: Iterable[str], left: int) -> list[str]:
    """Return as many blocks as fit, the last one cut."""
    shown = []
    for block in blocks:
        if len(block) > left:
            note = f"\n[… {len(block) - max(left - 60, 0)} characters left out; raise maxChars …]"
            block = block[: max(left - 60, 0)] + note if left > len(note) else ""
        if block:
            shown.append(block)
            left -= len(block)
    return shown


def _lines(view: view_models.TaskView, advice: str, room: int) -> Iterator[str]:
    """Describe the task; what differs from the last approval takes at most `room` characters."""
    title = view.get("title")
    reason = f" ({one_line(view['blockedReason'], _WIDTH)})" if "blockedReason" in view else ""
    stopping = ", being stopped" if view.get("cancelRequested") else ""
    yield f"Task {view['id']} is {view['status']}{reason}{stopping}{f': {one_line(title, _WIDTH)}' if title else ''}"
    if view["error"] is not None:
        yield f"{view.get('errorCode')}: {one_line(view['error'], _ERROR)}"
    yield from _needs(view, advice, room)
    yield from _warnings(view)
    if "progress" in view or "progressMessage" in view:
        yield f"Progress: {view.get('progress', 0):.0%} {one_line(view.get('progressMessage', ''), _WIDTH)}".rstrip()
    yield from _workspace(view)
    yield from _calls(view)
    yield from _output(view)
    if view["status"] in ENDED:
        yield f"lastEvent: {view['lastEvent']}"
    else:
        wait = f"afterEvent {view['lastEvent']} and waitSeconds {MAX_WAIT_SECONDS}"
        yield f"lastEvent: {view['lastEvent']}. get_task with {wait} waits, and shows only what is new."


def _needs(view: view_models.TaskView, advice: str, room: int) -> Iterator[str]:
    """Describe what waits for a person, or for other tasks."""
    waiting = view.get("pendingApprovals", [])
    omitted = view.get("omittedApprovals", 0)
    if waiting or omitted:
        yield f"Calls that wait for approval: {len(waiting) + omitted}. {advice}"
        for call in waiting:
            yield f"  callId {call['callId']}, call: {call['call']}"
            differs = _differs(call, room)
            room -= sum(len(line) + 1 for line in differs)
            yield from differs
            if more := _omitted_differences(call, len(differs)):
                yield f"    and {more} more differences, shown with a higher maxChars"
        if omitted:
            yield f"  and {omitted} more, shown once these are decided, or with a higher maxChars"
    if beneath := view.get("subtasksAwaitingApproval"):
        yield f"Sub-tasks that wait for approval: {_named(beneath, view.get('omittedAwaiting', 0))}"
    if view.get("blockedReason") == LOST:
        names = ", ".join(view.get("secretNames", [])[:_CALLS])
        yield f"Its secrets are lost{f' ({names})' if names else ''}: send_message with their values lets it go on."
    if view["status"] == "paused" and view.get("blockedReason") != RESTORED:  # of which a warning tells
        yield "It has made as many calls as it may: send_message without a message lets it make as many more."
    if view.get("blockedReason") in OUR_REASONS and (blockers := view.get("blockedByTaskIds")):
        yield f"It waits for {_named(blockers, view.get('omittedBlockers', 0))}"


def _differs(call: PendingApprovalView, room: int) -> list[str]:
    """Describe in `room` characters what differs from the last approval, if the call's line had no room for it."""
    sentences = call.get("differs", []) if _is_cut(call) else []
    lines = [f"    differs: {one_line(sentence, _DIFFERENCE)}" for sentence in sentences]
    taken = accumulate(len(line) + 1 for line in lines)
    return [line for line, characters in zip(lines, taken, strict=True) if characters <= room]


def _omitted_differences(call: PendingApprovalView, shown: int) -> int:
    given = len(call.get("differs", [])) if _is_cut(call) else 0
    return given - shown + call.get("omittedDifferences", 0)


def _warnings(view: view_models.TaskView) -> Iterator[str]:
    warnings = view.get("warnings", [])
    yield from (f"Warning: {one_line(warning, _ERROR)}" for warning in warnings[:_CALLS])
    if more := len(warnings[_CALLS:]) + view.get("omittedWarnings", 0):
        yield f"{more} more warnings, see warnings in structuredContent or include events"


def _workspace(view: view_models.TaskView) -> Iterator[str]:
    if "workspace" not in view:
        return
    workspace = view["workspace"]
    branch = f", branch {workspace['branch']}" if "branch" in workspace else ""
    yield f"Works in {one_line(workspace['path'], _WIDTH)} ({workspace['mode']}{branch})"
    if "problem" in workspace:
        yield f"Problem: {one_line(workspace['problem'], _WIDTH)}"
    if "changedFiles" in workspace:
        files = [one_line(f"{each['status']} {each['path']}", _WIDTH) for each in workspace["changedFiles"]]
        yield f"Changed files: {_named(files, workspace.get('omittedFiles', 0))}"


def _calls(view: view_models.TaskView) -> Iterator[str]:
    if "output" not in view:
        return
    calls = view["output"]["toolCalls"]
    count = len(calls) + view["output"].get("omittedToolCalls", 0)
    if count > 1 or any(call["status"] in ("error", "cancelled") for call in calls):
        yield f"Calls{' that have changed' if 'afterEvent' in view else ''}: {count}"
        for call in calls[-_CALLS:]:
            ended = f", exit status {call['exitStatus']}" if "exitStatus" in call else ""
            reason = f" ({one_line(call['reason'], _WIDTH // 2)})" if "reason" in call else ""
            yield f"  {call['status']}{ended}: {one_line(call['description'], _WIDTH // 2)}{reason}"


def _output(view: view_models.TaskView) -> Iterator[str]:
    """Introduce the block with the output."""
    if "output" not in view:
        yield "There is no output yet."
        return
    output = view["output"]
    new = f" that came after event {view['afterEvent']}" if "afterEvent" in view else ""
    if output["content"]:
        block = "The block after the arguments of calls" if any(_arguments(view)) else "The next block"
        yield f"{block} is output of the task{new}, in its own words."
    else:
        yield f"There is no output{new or ('' if view['status'] in ENDED else ' yet')}."
    if "omittedBefore" in output:
        yield f"{output['omittedBefore']} characters came before; get_task without afterEvent shows all."
    if "nextCursor" in output and (output["content"] or view["status"] in ENDED):
        yield f'To read the output on: outputCursor "{output["nextCursor"]}"'


def _arguments(view: view_models.TaskView) -> Iterator[str]:
    """Return the arguments of waiting calls that did not fit on their lines; they come before the task's own text."""
    for call in view.get("pendingApprovals", []):
        if _is_cut(call):
            yield f"Arguments of {call['callId']}: {_compact(call['args'])}"


def _is_cut(call: PendingApprovalView) -> bool:
    """Return whether a call did not fit on its line."""
    return call["call"].endswith(")") and "… (" in call["call"]


def _further(view: view_models.TaskView) -> Iterator[str]:
    """Return the other requested parts, each in a block of its own."""
    if "diff" in view.get("workspace", {}):
        yield f"Diff:\n{view['workspace']['diff']}"
    for message in view.get("messages", []):
        yield f"{message['role']}, {message['createdAt']}:\n{message['content']}"
    if "omittedMessages" in view:
        yield f"{view['omittedMessages']} earlier messages are left out."
    if "events" in view:
        yield "\n".join(_events(view))
    if "graph" in view:
        yield "\n".join(_graph(view["graph"]))


def _events(view: view_models.TaskView) -> Iterator[str]:
    events = view["events"]
    last = events[-1]["number"] if events else view["lastEvent"]
    yield "Events:" if events else "There are no later events."
    yield from (f"{each['number']} {each['at']} {each['type']} {_compact(each['data'])}" for each in events)
    if last < view["lastEvent"]:
        yield f"More events with afterEvent {last}."


def _graph(graph: view_models.NeighboursView) -> Iterator[str]:
    named = (("Depends on", graph["dependsOn"]), ("Dependent", graph["dependents"]), ("Sub-task", graph["subtasks"]))
    for title, tasks in named:
        yield from (f"{title}: {each['id']} {each['status']} {one_line(each['title'], _WIDTH)}" for each in tasks)


def _named(names: list[str], omitted: int) -> str:
    others = omitted + len(names[_CALLS:])
    return f"{', '.join(names[:_CALLS])}{f' and {others} more' if others else ''}"


def _compact(value: object) -> str:
    """Return a value as JSON on one line, with invisible characters escaped."""
    return visible(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
