"""Masking what was made to be hard keeps nobody waiting, and does not keep a task that is cancelled."""

import threading
import time
from functools import partial

import anyio
import pytest

from server.round_robin import LANE
from server.tasks.events.output import GRACE_SECONDS, CommandOutput
from server.tasks.secrets import masking
from server.threads import MOST_THREADS
from tests.bounds import unstalled

pytestmark = pytest.mark.anyio

SECRETS = {"A": "\\" * 300 + "b"}
HARD = "\\" * 17_000


async def test_others_have_their_turn_while_a_value_is_masked() -> None:
    async with unstalled():
        masker = await masking.masker(SECRETS)
        shown = await masker.json({"a": [HARD], HARD: SECRETS["A"]})
    assert shown == {"a": [HARD], HARD: "[secret A]"}


async def test_others_have_their_turn_while_the_end_of_an_output_is_masked() -> None:
    output = CommandOutput(await masking.masker(SECRETS), 2000)
    async with unstalled():
        await output.take(HARD * 2)
    assert output.dropped + len(output.text) > len(HARD) * 2


async def test_a_cancel_does_not_wait_until_an_end_is_masked() -> None:
    output = CommandOutput(await masking.masker(SECRETS), 2_000_000)
    output._keep(HARD * 50)  # whose masking takes a minute
    start = time.monotonic()
    with anyio.move_on_after(0.1):
        await output.finish()
    assert time.monotonic() - start < 5 * GRACE_SECONDS
    assert output.dropped == len(HARD) * 50
    assert "characters of output were not kept" in output.text


async def test_what_was_given_up_takes_no_more_threads_and_is_soon_done() -> None:
    masker = await masking.masker(SECRETS)
    before = threading.active_count()
    for _ in range(5 * MOST_THREADS):
        with anyio.move_on_after(0.05):
            await masker.text(HARD * 10)
    assert threading.active_count() - before <= MOST_THREADS
    start = time.monotonic()
    assert await masker.text("nothing") == "nothing"
    assert time.monotonic() - start < 10


async def test_an_ordinary_text_does_not_come_behind_others_hard_ones() -> None:
    masker = await masking.masker(SECRETS)
    ended: list[str] = []
    first = anyio.Event()

    async def mask(lane: str, text: str) -> None:
        LANE.set(lane)
        await masker.text(text)
        ended.append(lane)
        first.set()

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(mask, "hard", HARD)
        await anyio.sleep(0.01)  # they are before it
        group.start_soon(mask, "ordinary", "words and more words " * 5000)
        await first.wait()
        group.cancel_scope.cancel()
    assert ended == ["ordinary"]


async def test_many_short_texts_at_once_leave_others_their_turn() -> None:
    masker = await masking.masker(SECRETS)
    async with unstalled(), anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(masker.text, HARD[:4000])


async def test_the_outputs_of_many_tasks_leave_others_their_turn() -> None:
    masker = await masking.masker(SECRETS)
    shown: list[str] = []
    async with unstalled(), anyio.create_task_group() as group:
        for _ in range(10):
            output = CommandOutput(masker, 1_000_000)
            group.start_soon(partial(output.show, HARD[:8192].encode(), shown.append))
    assert sum(map(len, shown)) > 0
