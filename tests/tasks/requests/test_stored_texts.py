"""The texts of requests that are stored, which may hold no secret."""

from typing import Any

import pytest
from pydantic import Field

from server.errors import RemitError
from server.tasks import validation
from server.tasks.requests.fields import Request
from server.tasks.requests.request_models import CreateTask, SendMessage, UpdateTask
from server.tasks.requests.stored_texts import stored_texts
from server.tasks.secrets.masking import Masker

pytestmark = pytest.mark.anyio

VALUE = "hunter22"
MASKER = Masker({"KEY": VALUE})


class Part(Request):
    """A part of a request of a later version."""

    names: list[str] = Field(default_factory=list)


class LaterTask(CreateTask):
    """A new task as a later version takes it, with more fields."""

    note: str | None = None
    part: Part | None = None
    marks: dict[str, str] = Field(default_factory=dict)


async def refused(request: Request) -> str:
    """Return the field for which a request is refused, because a secret stands in it; empty if it is not."""
    try:
        await validation.refuse_secrets(MASKER, stored_texts(request))
    except RemitError as error:
        return str(error.details["field"])
    return ""


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("note", {"note": f"it is {VALUE}"}),
        ("part.names", {"part": {"names": ["a", VALUE]}}),
        ("marks.a", {"marks": {"a": VALUE}}),
        ("marks", {"marks": {VALUE: "a"}}),
    ],
)
async def test_a_secret_is_refused_in_a_field_that_was_added_to_the_model(field: str, more: dict[str, Any]) -> None:
    assert await refused(LaterTask.model_validate({"message": "$ true", **more})) == field


def told(*names: str) -> dict[str, Any]:
    """Return fields that hold the secret, by their names."""
    return dict.fromkeys(names, VALUE)


TASK_TEXTS = told(
    "title",
    "description",
    "systemPrompt",
    "taskListId",
    "parentTaskId",
    "triggeringAgentId",
    "assignedAgentId",
    "conversationId",
    "idempotencyKey",
)


@pytest.mark.parametrize("field", TASK_TEXTS)
async def test_a_new_tasks_text_holds_no_secret(field: str) -> None:
    assert await refused(CreateTask.model_validate({"message": "$ true", field: VALUE})) == field


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("message", {"message": f"$ echo {VALUE}"}),
        ("dependsOn", {"dependsOn": ["a", VALUE]}),
        ("env", {"env": {VALUE: "a"}}),
        ("env.A", {"env": {"A": VALUE}}),
        ("secrets", {"secrets": {VALUE: "another"}}),
        ("files[1].path", {"files": [{"path": "a", "content": ""}, {"path": VALUE, "content": ""}]}),
        ("workspace.path", {"workspace": {"path": f"/{VALUE}"}}),
        ("metadata", {"metadata": {"a": [{"b": VALUE}]}}),
    ],
)
async def test_a_new_tasks_parts_hold_no_secret(field: str, more: dict[str, Any]) -> None:
    assert await refused(CreateTask.model_validate({"message": "$ true", **more})) == field


@pytest.mark.parametrize(
    "more",
    [
        {"secrets": {"KEY": VALUE}},
        {"files": [{"path": "a", "content": VALUE}]},
        {"files": [{"path": "a", "source": f"/{VALUE}"}]},
        {"agentId": VALUE, "mcpServers": [VALUE], "secretNames": [VALUE]},
    ],
)
async def test_a_secret_may_stand_in_what_is_not_stored_or_is_a_word_of_the_operators(more: dict[str, Any]) -> None:
    assert await refused(CreateTask.model_validate({"message": "$ true", **more})) == ""


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("message", {"message": f"$ echo {VALUE}"}),
        ("idempotencyKey", {"idempotencyKey": VALUE}),
        ("env", {"env": {VALUE: None}}),
        ("env.A", {"env": {"A": VALUE}}),
        ("secrets", {"secrets": {VALUE: None}}),
        ("files[0].path", {"files": [{"path": VALUE, "content": ""}]}),
    ],
)
async def test_a_message_holds_no_secret(field: str, more: dict[str, Any]) -> None:
    assert await refused(SendMessage.model_validate({"id": "a", **more})) == field


@pytest.mark.parametrize(
    "field", ["title", "description", "taskListId", "assignedAgentId", "progressMessage", "internalStatus"]
)
async def test_a_change_of_a_task_holds_no_secret(field: str) -> None:
    assert await refused(UpdateTask.model_validate({"id": "a", field: VALUE})) == field
