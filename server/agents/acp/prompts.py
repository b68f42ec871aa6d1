"""Prompts for agents: the task, and its state when a session is resumed."""

from collections.abc import Iterable, Sequence

from server.agents.interface import HistoryMessage, KnownCall

MAX_HISTORY = 100_000
"""Characters of an earlier conversation that are repeated, its end: as many as a message may have."""

_WHAT_BECAME = {
    "pending": "was not made",
    "awaiting_approval": "was waiting for permission",
    "executing": "was cut off; look whether it has been done before you do it again",
    "success": "was done; do not do it again",
    "error": "failed or was cut off; look what it has done before you do it again",
}


def first(
    message: str, system_prompt: str | None, history: Sequence[HistoryMessage], calls: Sequence[KnownCall]
) -> str:
    """Return the prompt for a new session; `calls` are those of an earlier run of the turn."""
    parts = [
        f"Instructions for all of this, from whoever asks:\n\n{system_prompt}" if system_prompt else "",
        f"The conversation so far:\n\n{_conversation(history)}" if history else "",
        f"You have begun this already, and the connection was lost:\n\n{standing(calls)}" if calls else "",
    ]
    before = "\n\n".join(filter(None, parts))
    return f"{before}\n\nThe message:\n\n{message}" if before else message


def resumed(message: str, calls: Sequence[KnownCall]) -> str:
    """Return the prompt that resumes a session in the middle of its work."""
    stands = f"Where your calls stand:\n\n{standing(calls)}\n\n" if calls else ""
    return f"The connection was lost while you were at this:\n\n{message}\n\n{stands}Go on from where you were."


def refused(calls: Iterable[KnownCall]) -> str:
    """Return the prompt for an agent that stopped silently at refused calls."""
    return f"{standing(calls)}\n\nGo on without it: do what else can be done, or say what is left undone and why."


def standing(calls: Iterable[KnownCall]) -> str:
    """Describe the state of calls, a line each."""
    return "\n".join(f"- {call.tool_name} {_shortened(call)}: {_became(call)}" for call in calls)


def _became(call: KnownCall) -> str:
    if call.status == "cancelled":
        return f"was refused{f': {call.reason}' if call.reason else ''}"
    if call.approved and call.status in ("pending", "awaiting_approval"):
        return "was waiting for permission, and now has it; make the same call again"
    return _WHAT_BECAME[call.status]


def _shortened(call: KnownCall) -> str:
    text = ", ".join(f"{name}: {value}" for name, value in call.args.items())
    return " ".join(text.split())[:300]


def _conversation(history: Sequence[HistoryMessage]) -> str:
    text = "\n\n".join(f"[{message.role}]\n{message.content}" for message in history)
    left_out = len(text) - MAX_HISTORY
    return f"[{left_out} characters are left out here]\n{text[-MAX_HISTORY:]}" if left_out > 0 else text
