"""Synonyms of statuses and decisions that people and models use beside those of the APIs."""

from collections.abc import Mapping
from functools import partial
from typing import Any

STATUS_WORDS = {
    "done": "completed",
    "complete": "completed",
    "finished": "completed",
    "success": "completed",
    "succeeded": "completed",
    "successful": "completed",
    "canceled": "cancelled",
    "aborted": "cancelled",
    "failure": "failed",
    "errored": "failed",
    "todo": "pending",
    "to_do": "pending",
    "new": "pending",
    "not_started": "pending",
    "inprogress": "in_progress",
    "active": "in_progress",
    "started": "in_progress",
    "working": "in_progress",
    "processing": "in_progress",
    "on_hold": "paused",
    "suspended": "paused",
    "pending_approval": "awaiting_approval",
    "needs_approval": "awaiting_approval",
    "waiting_for_approval": "awaiting_approval",
}
"""The status that each word stands for; words in lower case, with `_` for spaces and hyphens."""

OUTCOME_WORDS = {
    "yes": "proceed_once",
    "y": "proceed_once",
    "ok": "proceed_once",
    "accept": "proceed_once",
    "accepted": "proceed_once",
    "allow": "proceed_once",
    "allow_once": "proceed_once",
    "approve": "proceed_once",
    "approve_once": "proceed_once",
    "approved": "proceed_once",
    "proceed": "proceed_once",
    "no": "cancel",
    "n": "cancel",
    "deny": "cancel",
    "denied": "cancel",
    "decline": "cancel",
    "declined": "cancel",
    "refuse": "cancel",
    "reject": "cancel",
    "rejected": "cancel",
}
"""The decision that each word stands for; `proceed_always` has no synonym and must be written itself."""


def folded(value: str) -> str:
    """Return a word in lower case, with `_` for spaces and hyphens."""
    return value.strip().lower().replace(" ", "_").replace("-", "_")


def _meant(words: Mapping[str, str], value: Any) -> Any:
    return words.get(folded(value), folded(value)) if isinstance(value, str) else value


status_meant = partial(_meant, STATUS_WORDS)
"""Return the status that a word stands for; any other word is only folded."""

outcome_meant = partial(_meant, OUTCOME_WORDS)
"""Return the decision that a word stands for; any other word is only folded."""
