"""The words that are told of a task while it is waited for."""

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from server.tasks import waiting
from server.tasks.callers import Caller
from server.tasks.requests.request_models import GetTask
from storage.records.events import EventKind, RunEvent
from storage.records.masked import MaskedText
from storage.records.states import Status
from storage.records.tasks import Progress
from storage.sqlite.store import open_store
from storage.times import now
from tests.storage.fresh import fresh
from tests.storage.samples import ANN, claimed

CALLER = Caller(ANN, person=False, folder=None)
LOOK = Progress(Status.RUNNING, None, 2, 5, "")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param("", "running, 2 of 5 calls, 12 s", id="nothing yet"),
        pytest.param("one\ntwo\n\n", "running, 2 of 5 calls, 12 s: two", id="the last line that says something"),
        pytest.param(" 10%\r 20%\r", "running, 2 of 5 calls, 12 s: 20%", id="a line that is written over"),
        pytest.param("\x1b[1mbold\u202e", "running, 2 of 5 calls, 12 s: \\x1b[1mbold\\u202e", id="what is not seen"),
    ],
)
def test_a_word_is_one_line_with_the_last_of_the_output(said: str, told: str) -> None:
    assert waiting.said_of(replace(LOOK, said=said), 12.3) == told


def test_a_word_is_short_whatever_the_line() -> None:
    told = waiting.said_of(replace(LOOK, said="x" * 10_000, started_at=now() - 99_000_000), 1)
    assert len(told) == 120
    assert told.startswith("running, 2 of 5 calls, 99 s: xxx")


async def test_words_end_with_the_wait_that_was_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PERIOD", 0.01)
    told: list[str] = []
    enough = anyio.Event()

    async def tell(_: float, message: str) -> None:
        told.append(message)
        if len(told) == 3:
            enough.set()

    async with open_store(fresh(tmp_path / "remit.db")) as store:
        claim = await claimed(store)
        request = GetTask(id=claim.task.id, waitSeconds=40)
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(waiting.wait, store, replace(CALLER, tell=tell), request)
                await enough.wait()
                await store.append_events(claim.run, [RunEvent(EventKind.CONTENT, {"text": MaskedText("news\n")})])
                while not told[-1].endswith(": news"):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        heard = len(told)
        await store.append_events(claim.run, [RunEvent(EventKind.CONTENT, {"text": MaskedText("more\n")})])
    assert len(told) == heard
