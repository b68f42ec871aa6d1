"""From what the store keeps to what a user is shown."""

from pathlib import Path

import pytest

from server.tasks.requests.request_models import GetTask
from server.tasks.views import task_view
from server.tasks.views.formatting import one_line
from storage.records.events import EventKind, RunEvent
from storage.records.masked import MaskedText
from storage.records.outcomes import TurnEnd
from storage.records.retention import Retention
from storage.records.states import Status
from storage.sqlite.store import open_store
from tests.storage.fresh import fresh
from tests.storage.samples import ANN, claimed

FOREVER = Retention(tasks=None, logs=None, workspaces=None)
THOUGHT = {"subject": MaskedText("the plan"), "description": MaskedText("first this, then that")}


@pytest.mark.behaviour("get_task:output:thoughts", "events:thought")
@pytest.mark.parametrize("ended", [False, True], ids=["while it runs", "after its end"])
async def test_what_an_agent_thinks_is_kept_and_shown(tmp_path: Path, ended: bool) -> None:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        claim = await claimed(store)
        await store.append_events(claim.run, [RunEvent(EventKind.THOUGHT, THOUGHT)])
        if ended:
            await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
        snapshot = await store.snapshot(ANN, claim.task.id, events_after=0, max_events=10)
    view = task_view.task(snapshot, FOREVER, GetTask(id=claim.task.id, include=["events"]))
    assert view["output"]["thoughts"] == [THOUGHT]
    assert [event["data"] for event in view["events"] if event["type"] == "thought"] == [THOUGHT]


@pytest.mark.parametrize("hidden", ["\u202e", "\u3164", "\u2800", "\ufe0f", "\x1b", "\u200b"])
def test_one_line_writes_out_what_is_not_plainly_visible(hidden: str) -> None:
    assert one_line(f"a{hidden}b", 100) == f"a{hidden.encode('unicode_escape').decode()}b"
