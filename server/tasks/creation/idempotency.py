"""Idempotency: whether a request was carried out before, by its key and the digest of its contents."""

import hashlib
import json

from server.runner.workspace.upload import Upload
from server.tasks import validation
from server.tasks.requests.request_models import CreateTask, SendMessage
from server.threads import READING, computed
from storage.interface import Store
from storage.records.tasks import CreationResult, Principal, SentKey


async def digest(request: CreateTask | SendMessage) -> str:
    """Return a request's idempotency digest: SHA-256, hex, over everything but the values of its secrets.

    Fields at their defaults are left out, so that a field added in a later version does not change old digests.
    """
    return await computed(validation.inline_size(request.files), _digest, request, threads=READING)


async def created_before(store: Store, principal: Principal, request: CreateTask) -> tuple[str, CreationResult | None]:
    """Return a new task's digest, and the task that its key created before; None if there is none.

    Raises RemitError (CONFLICT): when the key was used for another request.
    """
    known_by = await digest(request)
    return known_by, await store.repeated(principal, request.idempotency_key, known_by)


async def sent_before(store: Store, principal: Principal, request: SendMessage) -> tuple[SentKey | None, bool]:
    """Return a message's key with its digest, None without a key; and whether it was sent to the task before.

    Raises RemitError (CONFLICT): when the key was used for another message.
    """
    if not request.idempotency_key:
        return None, False
    key = SentKey(request.idempotency_key, await digest(request))
    return key, await store.was_sent(principal, request.id, key)


async def new_uploads(store: Store, principal: Principal, request: CreateTask | SendMessage) -> list[Upload]:
    """Return the files that a request brings; none if it was carried out before."""
    earlier: CreationResult | bool | None
    if isinstance(request, CreateTask):
        _, earlier = await created_before(store, principal, request)
    else:
        _, earlier = await sent_before(store, principal, request)
    return [] if earlier else await validation.uploads(request.files)


def _digest(request: CreateTask | SendMessage) -> str:
    fields = request.model_dump(mode="json", exclude={"secrets", "idempotency_key"}, exclude_defaults=True)
    known = fields | {"secrets": sorted(request.secrets)}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
