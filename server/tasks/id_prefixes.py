"""Completion of task ids from their first characters, as people and models shorten and copy them."""

import re
from typing import TypeVar

from server.errors import Code, RemitError
from server.limits import SHORT_ID
from server.tasks.requests.fields import Request
from storage.interface import Store
from storage.records.tasks import Principal

R = TypeVar("R", bound=Request)

_WHOLE = 36
"""Characters of an id, a UUID."""

_ID = re.compile("[0-9a-f-]+")

_OF_TASKS = ("id", "ids", "depends_on", "parent_task_id")


async def complete_ids(store: Store, principal: Principal, request: R, asker: int | None) -> R:
    """Return the request with its id prefixes completed, among the tasks that the caller can see.

    Those are the principal's, or, for an agent, those of the task numbered `asker`. A prefix of no visible task is left
    as it is; the lookup then fails. Raises RemitError (VALIDATION_ERROR) with `candidates`: when several tasks match.
    """
    changed = {}
    for field in request.model_fields_set.intersection(_OF_TASKS):
        name = type(request).model_fields[field].alias or field
        given = getattr(request, field)
        texts = given if isinstance(given, list) else [given]
        found = [await _whole(store, principal, text, asker, name) for text in texts]
        if found != texts:
            changed[field] = found if isinstance(given, list) else found[0]
    return request.model_copy(update=changed) if changed else request


async def _whole(store: Store, principal: Principal, text: str | None, asker: int | None, field: str) -> str | None:
    written = _written(text) if text else ""
    if not SHORT_ID <= len(written) < _WHOLE:
        return written if len(written) == _WHOLE else text
    found = await store.ids_with_prefix(principal, written, asker)
    if len(found) > 1 and written not in found:
        message = f"{field}: {text!r} is the beginning of several of your tasks, give more of it: {', '.join(found)}"
        raise RemitError(Code.VALIDATION_ERROR, message, field=field, candidates=found)
    return found[0] if len(found) == 1 else text


def _written(text: str) -> str:
    """Return an id or a prefix in its canonical spelling (trimmed, lower case); any other text unchanged."""
    folded = text.strip().lower()
    return folded if _ID.fullmatch(folded) else text
