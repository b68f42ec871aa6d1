"""The digest of a request."""

import pytest

from server.tasks.creation.idempotency import digest
from server.tasks.requests.request_models import CreateTask

pytestmark = pytest.mark.anyio


class LaterRequest(CreateTask):
    """A new task as a later version takes it: with a field more."""

    colour: str | None = None


async def test_a_field_that_is_left_out_does_not_change_what_a_request_is_known_by() -> None:
    asked = {"message": "$ echo hi", "title": "t", "files": [{"path": "a", "content": "b"}], "secrets": {"A": "value"}}
    before = await digest(CreateTask.model_validate(asked))
    assert await digest(LaterRequest.model_validate(asked)) == before
    assert await digest(LaterRequest.model_validate({**asked, "colour": "blue"})) != before


async def test_a_request_is_known_by_the_names_of_its_secrets_and_not_by_their_values() -> None:
    digests = [
        await digest(CreateTask(message="$ m", secrets=secrets)) for secrets in ({"A": "1"}, {"A": "2"}, {"B": "1"}, {})
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
