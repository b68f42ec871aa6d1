"""Checks of requests (secret values in stored texts, templates, lost secrets), and the demands and uploads in them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from secrets import token_hex

from server.errors import Code, RemitError
from server.runner.workspace.upload import Upload
from server.tasks.requests.parts import File, Guarantees
from server.tasks.requests.request_models import (
    FOR_EXECUTION,
    CreateTask,
    SendMessage,
    execution_input,
)
from server.tasks.secrets import masking
from server.tasks.secrets.index import KnownSecrets
from server.tasks.secrets.masking import Masker
from server.tasks.secrets.variables import environment
from server.threads import READING, computed, stepped
from storage.records.demands import Demands, Requirements
from storage.records.tasks import SecretSource as Origin
from templates.steps import Steps

UNMASKED = "the value of {} is gone: where an earlier turn wrote it to the task's folder, it is not masked any more"


async def refuse_secrets(masker: Masker, texts: Iterable[tuple[str, str]]) -> None:
    """Refuse a request with a secret value in `texts`: pairs of a field's name and its text, which will be stored.

    Raises RemitError (VALIDATION_ERROR) that names the field and the secret: when one contains a value.
    """
    stored = list(texts)
    if found := await stepped(sum(len(text) for _, text in stored), _containing(masker, stored)):
        field, name = found
        raise RemitError(
            Code.VALIDATION_ERROR,
            f"{field} contains the value of the secret {name}; it would be stored; "
            f"commands get secrets as variables, so write ${name} instead",
            field=field,
        )


async def refuse_values(values: Mapping[str, str], texts: Iterable[tuple[str, str]]) -> None:
    """Refuse a request with one of these secret values, by the secrets' names, in `texts`, as `refuse_secrets` does."""
    await refuse_secrets(await masking.masker(values), texts)


def _containing(masker: Masker, texts: Iterable[tuple[str, str]]) -> Steps[tuple[str, str] | None]:
    """Find the first field that contains a secret: the field's name and the secret's."""
    for field, text in texts:
        if name := (yield from masker.containing(text)):
            return field, name
    return None


def has_content(request: SendMessage) -> bool:
    """Return whether a follow-up has more than the task's id and an idempotency key."""
    return request.model_dump(exclude={"id", "idempotency_key"}, exclude_defaults=True, exclude_none=True) != {}


def refuse_execution_inputs(request: SendMessage) -> None:
    """Refuse secrets and files for a task that this server does not execute.

    Raises RemitError (VALIDATION_ERROR) that names the field.
    """
    if name := execution_input(request):
        raise RemitError(Code.VALIDATION_ERROR, f"{name}: {FOR_EXECUTION}", field=name)


async def templates(env: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """Refuse variables whose templates cannot be resolved. Raises RemitError (TEMPLATE_ERROR) that names the key."""
    await computed(sum(map(len, env.values())), environment, env, secrets)


def demands(request: CreateTask) -> Demands:
    """Return the demands of a task (limits, sandbox, MCP servers, …) as they are stored and shown."""
    return Demands(
        on_interrupt=request.on_interrupt,
        approval_timeout_seconds=request.approval_timeout_seconds,
        limits=None if request.limits is None else request.limits.model_dump(by_alias=True, exclude_none=True),
        require=None if request.require is None else _required(request.require),
        allow_hooks=request.allow_hooks,
        mcp_servers=tuple(request.mcp_servers),
    )


def _required(asked: Guarantees) -> Requirements:
    required = Requirements()
    if asked.tier:
        required["tier"] = asked.tier
    if asked.network:
        required["network"] = asked.network
    return required


def origins(literals: Iterable[str], names: Iterable[str]) -> dict[str, Origin]:
    """Return the source of each secret: given literally, or read by name."""
    origins: dict[str, Origin] = dict.fromkeys(names, "named")
    return origins | dict.fromkeys(literals, "literal")


async def uploads(files: Sequence[File]) -> list[Upload]:
    """Return the files of a request as uploads for the workspace."""
    return await computed(inline_size(files), _uploads, files, threads=READING)


def inline_size(files: Sequence[File]) -> int:
    """Count the characters of inline file contents."""
    return sum(len(file.content or file.content_base64 or "") for file in files)


def _uploads(files: Sequence[File]) -> list[Upload]:
    return [
        Upload(file.path, content=file.inline(), source=Path(file.source) if file.source is not None else None)
        for file in files
    ]


async def versions(uploads: Sequence[Upload]) -> dict[str, str]:
    """Return each file's version by its path: SHA-256, hex; random for a copied file, whose content is not read."""
    return await computed(sum(len(each.content or b"") for each in uploads), _versions, uploads, threads=READING)


def _versions(uploads: Sequence[Upload]) -> dict[str, str]:
    return {
        upload.path: token_hex(16) if upload.content is None else hashlib.sha256(upload.content).hexdigest()
        for upload in uploads
    }


def require_literals(had: Mapping[str, Origin], request: SendMessage) -> None:
    """Refuse a follow-up without a literal secret that the task had: its value was dropped after the last turn.

    Raises RemitError (SECRETS_LOST) that names the missing ones.
    """
    given = {*request.secrets, *request.secret_names}
    if missing := [name for name, origin in had.items() if origin == "literal" and name not in given]:
        raise secrets_lost(missing)


def unmasked(known: KnownSecrets) -> list[str]:
    """Return a warning for each secret of earlier turns that cannot be masked, since its value is gone."""
    return [UNMASKED.format(name) for name in dict.fromkeys(record.name for record in known.lost)]


def merged(request: SendMessage, env: Mapping[str, str]) -> dict[str, str]:
    """Return the task's variables after a message. Raises RemitError (VALIDATION_ERROR): when they become too many."""
    try:
        return request.merged(dict(env))
    except ValueError as error:
        raise RemitError(Code.VALIDATION_ERROR, f"env: {error}", field="env") from None


def require_only_missing(missing: Sequence[str], request: SendMessage) -> None:
    """Refuse secrets for a blocked task unless they are exactly those it has lost.

    Raises RemitError: SECRETS_LOST naming what is still missing, VALIDATION_ERROR naming what was not asked for.
    """
    if absent := [name for name in missing if name not in request.secrets]:
        raise secrets_lost(absent)
    if surplus := sorted(set(request.secrets) - set(missing)):
        field = f"secrets.{surplus[0]}"
        raise RemitError(
            Code.VALIDATION_ERROR, f"{field}: the task waits for no secrets but {', '.join(missing)}", field=field
        )


def secrets_lost(missing: Sequence[str]) -> RemitError:
    """Return the error for literal secrets whose values are gone."""
    return RemitError(
        Code.SECRETS_LOST,
        f"the values of {', '.join(missing)} are gone (they are kept in memory, and for one turn): send them again in "
        "secrets, or null for one that is no longer needed",
        field="secrets",
        missing=list(missing),
    )
