"""Messages to a person about a blocked task."""

from typing import Any

import pytest

from server.cli.follow import blocked


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        pytest.param(
            {"blockedReason": "DEPENDENCIES", "blockedByTaskIds": ["a", "b"]}, "the task waits for a, b", id="few"
        ),
        pytest.param(
            {"blockedReason": "DEPENDENCIES", "blockedByTaskIds": list("abcdefg"), "omittedBlockers": 3},
            "the task waits for a, b, c, d, e and 5 more",
            id="many",
        ),
        pytest.param(
            {"blockedReason": "SECRETS_LOST", "secretNames": ["A", "B"]},
            "the server has lost the task's secrets: remit send t --secret A --secret B",
            id="secrets",
        ),
        pytest.param({"blockedReason": "the customer"}, "the task is blocked: the customer", id="by hand"),
        pytest.param(
            {"blockedReason": "DEPENDENCIES"}, "the task is blocked: DEPENDENCIES", id="in the server's own words"
        ),
        pytest.param({"blockedReason": "SECRETS_LOST"}, "the task is blocked: SECRETS_LOST", id="in others of them"),
    ],
)
def test_a_person_is_told_what_a_blocked_task_needs(shown: dict[str, Any], told: str) -> None:
    task: Any = {"id": "t", "secretNames": [], **shown}
    assert blocked(task) == told
