"""Masking what was made to be hard keeps nobody waiting, and does not keep a task that is cancelled."""

import time

import anyio
import pytest

from server.tasks import masking
from server.tasks.output import GRACE_SECONDS, Output
from tests.bounds import unstalled

pytestmark = pytest.mark.anyio

SECRETS = {"A": "\\" * 300 + "b"}
HARD = "\\" * 17_000


async def test_others_have_their_turn_while_a_value_is_masked() -> None:
    async with unstalled():
        redactor = await masking.redactor(SECRETS)
        shown = await masking.masked(redactor, {"a": [HARD], HARD: SECRETS["A"]})
    assert shown == {"a": [HARD], HARD: "[secret A]"}


async def test_others_have_their_turn_while_the_end_of_an_output_is_masked() -> None:
    output = Output(await masking.redactor(SECRETS), 2000)
    async with unstalled():
        await output.take(HARD * 2)
    assert output.dropped + len(output.text) > len(HARD) * 2


async def test_a_cancel_does_not_wait_until_an_end_is_masked() -> None:
    output = Output(await masking.redactor(SECRETS), 2_000_000)
    output._keep(HARD * 50)  # whose masking takes a minute
    start = time.monotonic()
    with anyio.move_on_after(0.1):
        await output.finish()
    assert time.monotonic() - start < 5 * GRACE_SECONDS
    assert output.dropped == len(HARD) * 50
    assert "characters of output were not kept" in output.text
