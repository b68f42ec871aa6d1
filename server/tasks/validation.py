"""What a request must not contain, and what it is known by."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

from pydantic.alias_generators import to_camel

from server.errors import Code, RemitError
from server.runner.workspace.upload import Upload
from server.tasks.requests.request_models import CreateTask, File, SendMessage, UpdateTask
from server.tasks.secrets.variables import environment
from server.threads import READING, computed, stepped
from storage.records.tasks import SecretSource as Origin
from storage.records.tasks import SentKey
from templates.redaction import Redactor
from templates.steps import Steps


async def refuse_secrets(redactor: Redactor, texts: Iterable[tuple[str, str]]) -> None:
    """Refuse a request whose texts, which are stored and shown, contain the value of one of its secrets.

    Raises RemitError (VALIDATION_ERROR) that names the field and the secret.
    """
    stored = list(texts)
    if found := await stepped(sum(len(text) for _, text in stored), _containing(redactor, stored)):
        field, name = found
        raise RemitError(
            Code.VALIDATION_ERROR,
            f"{field} contains the value of the secret {name}; it would be stored; "
            f"commands get secrets as variables, so write ${name} instead",
            field=field,
        )


def _containing(redactor: Redactor, texts: Iterable[tuple[str, str]]) -> Steps[tuple[str, str] | None]:
    """The first field that contains a secret, and the secret."""
    for field, text in texts:
        if name := (yield from redactor.containing(text)):
            return field, name
    return None


def task_texts(request: CreateTask) -> Iterator[tuple[str, str]]:
    """Every text of a new task that is stored, with the name of its field."""
    yield "message", request.message
    yield "title", request.title or ""
    yield "description", request.description or ""
    yield "systemPrompt", request.system_prompt or ""
    yield "taskListId", request.task_list_id or ""
    yield "triggeringAgentId", request.triggering_agent_id or ""
    yield "assignedAgentId", request.assigned_agent_id or ""
    yield "metadata", json.dumps(request.metadata, ensure_ascii=False)
    yield "idempotencyKey", request.idempotency_key or ""
    yield "workspace.path", request.workspace.path if request.workspace else ""
    yield from _variables(request.env)
    yield from _paths(request.files)


def message_texts(request: SendMessage) -> Iterator[tuple[str, str]]:
    """Every text of a follow-up that is stored, with the name of its field."""
    yield "message", request.message or ""
    yield "idempotencyKey", request.idempotency_key or ""
    yield from _variables(request.env)
    yield from _paths(request.files)


def update_texts(request: UpdateTask) -> Iterator[tuple[str, str]]:
    """Every text of a change that is stored, with the name of its field."""
    for field, value in request.model_dump(by_alias=True, exclude={"id", "status"}, exclude_unset=True).items():
        yield field, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def has_content(request: SendMessage) -> bool:
    """Whether a follow-up holds more than the task's id and a key."""
    return request.model_dump(exclude={"id", "idempotency_key"}, exclude_defaults=True, exclude_none=True) != {}


def refuse_execution_inputs(request: SendMessage) -> None:
    """Refuse secrets and files for a task that this server does not execute.

    Raises RemitError (VALIDATION_ERROR) that names the field.
    """
    for field in ("secrets", "secret_names", "files"):
        if getattr(request, field):
            name = to_camel(field)
            raise RemitError(
                Code.VALIDATION_ERROR,
                f'{name}: is for tasks this server executes, not for agentId "none"',
                field=name,
            )


async def templates(env: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """Refuse variables whose templates cannot be filled in. Raises RemitError (TEMPLATE_ERROR) that names the key."""
    await computed(sum(map(len, env.values())), environment, env, secrets)


async def digest(request: CreateTask | SendMessage) -> str:
    """What a request is known by when it is repeated: SHA-256, hex, over all but the values of secrets.

    What has its default is left out, so that a field of a later version does not make an old request another one.
    """
    return await computed(_inline(request.files), _digest, request, threads=READING)


async def sent_key(request: SendMessage) -> SentKey | None:
    """The idempotency key of a message, with what the message is known by; None for a message without a key."""
    return SentKey(request.idempotency_key, await digest(request)) if request.idempotency_key else None


def _digest(request: CreateTask | SendMessage) -> str:
    fields = request.model_dump(mode="json", exclude={"secrets", "idempotency_key"}, exclude_defaults=True)
    known = fields | {"secrets": sorted(request.secrets)}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def demands(request: CreateTask) -> dict[str, Any] | None:
    """What a task asks for around it, its sandbox first of all, as it is stored and shown."""
    fields = {"limits", "require", "allow_hooks", "mcp_servers", "on_interrupt", "approval_timeout_seconds"}
    asked = request.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True, include=fields)
    return asked or None


def origins(literals: Iterable[str], names: Iterable[str]) -> dict[str, Origin]:
    """How the value of each secret comes."""
    origins: dict[str, Origin] = dict.fromkeys(names, "named")
    return origins | dict.fromkeys(literals, "literal")


async def uploads(files: Sequence[File]) -> list[Upload]:
    """The files of a request as the workspace takes them."""
    return await computed(_inline(files), _uploads, files, threads=READING)


def _inline(files: Sequence[File]) -> int:
    """Characters of the content of files."""
    return sum(len(file.content or file.content_base64 or "") for file in files)


def _uploads(files: Sequence[File]) -> list[Upload]:
    return [
        Upload(file.path, content=file.inline(), source=Path(file.source) if file.source is not None else None)
        for file in files
    ]


async def versions(uploads: Sequence[Upload]) -> dict[str, str]:
    """What the files are known again by, by their paths: their SHA-256, hex; a copied one is another each time."""
    return await computed(sum(len(each.content or b"") for each in uploads), _versions, uploads, threads=READING)


def _versions(uploads: Sequence[Upload]) -> dict[str, str]:
    return {
        upload.path: token_hex(16) if upload.content is None else hashlib.sha256(upload.content).hexdigest()
        for upload in uploads
    }


def require_literals(had: Mapping[str, Origin], request: SendMessage) -> None:
    """Refuse a follow-up that leaves out a literal secret the task had: its value was dropped with the last turn.

    Raises RemitError (SECRETS_LOST) that names what is missing.
    """
    given = {*request.secrets, *request.secret_names}
    if missing := [name for name, origin in had.items() if origin == "literal" and name not in given]:
        raise secrets_lost(missing)


def merged(request: SendMessage, env: Mapping[str, str]) -> dict[str, str]:
    """The task's variables after a message. Raises RemitError (VALIDATION_ERROR) when they become too many."""
    try:
        return request.merged(dict(env))
    except ValueError as error:
        raise RemitError(Code.VALIDATION_ERROR, f"env: {error}", field="env") from None


def require_only_missing(missing: Sequence[str], request: SendMessage) -> None:
    """Refuse secrets for a blocked task that are not exactly those it has lost.

    Raises RemitError: SECRETS_LOST naming what is still missing, VALIDATION_ERROR naming what was not asked for.
    """
    if absent := [name for name in missing if name not in request.secrets]:
        raise secrets_lost(absent)
    if surplus := sorted(set(request.secrets) - set(missing)):
        field = f"secrets.{surplus[0]}"
        raise RemitError(
            Code.VALIDATION_ERROR, f"{field}: the task waits for {', '.join(missing)} and no other", field=field
        )


def secrets_lost(missing: Sequence[str]) -> RemitError:
    """The error for literal secrets whose values are gone."""
    return RemitError(
        Code.SECRETS_LOST,
        f"the values of {', '.join(missing)} are gone (they are kept in memory, and for one turn): send them again in "
        "secrets, or null for one that is no longer needed",
        field="secrets",
        missing=list(missing),
    )


def _variables(env: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    for name, value in env.items():
        yield "env", name
        yield f"env.{name}", value or ""


def _paths(files: Sequence[File]) -> Iterator[tuple[str, str]]:
    for number, file in enumerate(files):
        yield f"files[{number}].path", file.path
