"""The estimate of tokens is near the counts of a real tokenizer, whose vocabulary is nothing that tests could fetch."""

import base64
import random

import pytest

from benchmarks.tokens import estimate

PROSE = (
    "remit runs tasks in the background, each in its own folder and within this server's limits. create_task, then "
    "get_task with waitSeconds until it has ended. pendingApprovals are for the user to decide."
)
ROW = (
    '{"id":"7c0f1b9e-52d4-4f0a-9a43-1f5f2f0d8e11","title":"Check part 7 of it","status":"completed","agentId":"shell",'
    '"createdAt":"2026-11-29T20:31:59.123Z","messageCount":2}'
)
LINES = base64.b64encode(random.Random(2026).randbytes(1500)).decode()


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        pytest.param(PROSE, 44, id="words"),
        pytest.param(ROW, 79, id="an answer"),
        pytest.param(LINES, 1353, id="base64"),
        pytest.param("あいうえお漢字の説明文です。" * 5, 55, id="words beyond ASCII"),
    ],
)
def test_an_estimate_is_near_what_o200k_counts(text: str, counted: int) -> None:
    assert estimate(text) == pytest.approx(counted, rel=0.15)
