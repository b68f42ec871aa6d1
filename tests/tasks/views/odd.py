"""Tasks of any shape, as the store could hand them out: long, many, deep, and of characters that JSON writes longer."""

from typing import Any

from hypothesis import strategies as st

from server.errors import Code
from storage.records.calls import Call
from storage.records.demands import Demands
from storage.records.events import Event, EventKind
from storage.records.graphs import Related, RelatedTask
from storage.records.masked import MaskedText
from storage.records.states import CallStatus, Status
from storage.records.tasks import Message, NewParts, Snapshot, Task, TurnRecord
from storage.records.workspaces import Workspace
from tests.storage.samples import REPOSITORY

ID = "7c0f1b9e-52d4-4f0a-9a43-1f5f2f0d8e11"
AT = 1_796_000_000_123_456
PIECES = ("a", "line of a log\n", "\x00", "\x1b[31m", '"\\', "é", "漢字", "𝄞", "\u202e", "\r\n", " ")


def texts(most: int, least: int = 0) -> st.SearchStrategy[str]:
    """Texts of up to so many characters, most of them short or as long as can be."""
    lengths = st.one_of(st.integers(least, 40), st.integers(least, most), st.just(most))
    return st.builds(lambda piece, length: (piece * (length + 1))[:length], st.sampled_from(PIECES), lengths)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


LABELS = maybe(texts(255, 1))
NAMES = st.lists(texts(255, 1), max_size=300)
OBJECTS = st.dictionaries(
    texts(255, 1),
    st.recursive(texts(20_000) | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=30), max_leaves=60),
    max_size=60,
)


@st.composite
def calls(draw: st.DrawFn) -> list[Call]:
    kinds = draw(st.lists(st.tuples(st.sampled_from(CallStatus), texts(2_000), texts(20_000)), max_size=8))
    many = kinds * draw(st.sampled_from([1, 1, 20]))
    return [
        Call(
            id=f"call_{number:032x}",
            turn=1,
            key=str(number),
            tool_name=draw(texts(255, 1)) if number < 8 else "shell",
            args={"command": text, "more": [text]},
            digest="",
            description=text,
            status=status,
            output=output,
            dropped=0,
            exit_status=1,
            ran_us=1234,
            requested_at=AT,
            expires_at=AT,
            outcome="proceed_once",
            decided_by=text,
            decided_at=AT,
            reason=text,
            differs=[text] * draw(st.sampled_from([0, 1, 50])) if number < 8 else [],
        )
        for number, (status, text, output) in enumerate(many)
    ]


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    return Task(
        seq=1,
        id=ID,
        principal="local",
        username=draw(st.sampled_from(["root", "u" * 32])),
        conversation=ID,
        session=ID,
        agent="a" * draw(st.integers(1, 64)),
        status=draw(st.sampled_from(Status)),
        title=draw(maybe(texts(500))),
        message=draw(texts(100_000)),
        system_prompt=draw(maybe(texts(100_000))),
        show_in_history=True,
        auto_execute=False,
        env=draw(maybe(st.dictionaries(texts(255, 1), texts(20_000), max_size=50))),
        metadata=draw(maybe(OBJECTS)),
        demands=Demands(
            limits=draw(st.dictionaries(texts(255, 1), st.integers(), max_size=100)),
            require={"tier": "namespaces", "network": "none"},
            allow_hooks=True,
            mcp_servers=tuple(draw(NAMES)),
        ),
        sandbox="namespaces",
        timeout_seconds=604_800,
        cancel_requested=True,
        blocked_reason=draw(maybe(texts(500, 1))),
        blocked_at=AT,
        error_code=Code.DEPENDENCY_FAILED,
        error=draw(maybe(texts(100_000))),
        turn=1,
        message_count=100_000,
        last_event=1_000_000,
        description=draw(maybe(texts(10_000))),
        task_list=draw(LABELS),
        assigned_agent=draw(LABELS),
        triggering_agent=draw(LABELS),
        internal_status=draw(LABELS),
        source="terminal",
        parent=ID,
        depth=1,
        progress=0.123456789,
        progress_message=draw(maybe(texts(1_000))),
        on_dependency_failure="continue",
        open_dependencies=draw(st.sampled_from([0, 10_000])),
        max_calls=1_000_000,
        queue_place=AT,
        created_at=AT,
        started_at=AT,
        completed_at=AT,
        updated_at=AT,
        last_activity_at=AT,
        workspace_removed_at=AT,
        kept_output=0,
        files={},
    )


@st.composite
def workspaces(draw: st.DrawFn) -> Workspace:
    return Workspace(
        mode="worktree",
        path=draw(texts(4_096, 1)),
        shared=True,
        reaches=(),
        repository=REPOSITORY,
        checkout="dirty",
        outcome={
            "carried": "0" * 40,
            "head": "0" * 40,
            "dirty": True,
            "problem": MaskedText(draw(texts(2_000))),
            "files": [(MaskedText(path), "M") for path in draw(st.lists(texts(4_096, 1), max_size=100))],
            "omitted": 100_000,
            "diff": MaskedText(draw(texts(50_000))),
            "cut": True,
        },
    )


_KINDS = [EventKind.CONTENT, EventKind.DONE, EventKind.TOOL_CALL]


def events() -> st.SearchStrategy[list[Event]]:
    """500 events of a few kinds."""
    kinds = st.lists(st.tuples(st.sampled_from(_KINDS), texts(8_000)), min_size=1, max_size=4)
    return kinds.map(
        lambda few: [Event(number, AT, *_data(*few[number % len(few)])) for number in range(999_501, 1_000_001)]
    )


def _data(kind: EventKind, text: str) -> tuple[EventKind, dict[str, Any]]:
    return kind, {"finalResponse" if kind == EventKind.DONE else "text": text, "callId": ID}


@st.composite
def snapshots(draw: st.DrawFn, *, fresh: bool) -> Snapshot:
    """Return a task with all that may belong to it; with `fresh`, what of it is new."""
    content, made = draw(texts(100_000)), draw(calls())
    thoughts = draw(st.lists(st.fixed_dictionaries({"subject": texts(500), "description": texts(9_000)}), max_size=20))
    ids = [ID] * draw(st.sampled_from([0, 1, 200]))
    neighbours = [RelatedTask(ID, Status.BLOCKED, draw(texts(500)))] * 50
    said = draw(st.lists(texts(20_000), max_size=6))
    return Snapshot(
        task=draw(tasks()),
        turn=TurnRecord(1, "", content, AT, thoughts, None, 0, 10**6, 10**9, 10**9, AT, AT),
        content=content,
        content_at=AT,
        thoughts=thoughts,
        calls=made,
        waiting=0,
        secrets=dict.fromkeys(draw(NAMES), "literal"),
        events=draw(events()),
        messages=[Message(ID[::-1], 1, "assistant", text, AT) for text in [*said, content]],
        omitted_messages=100_000,
        warnings=draw(st.lists(texts(3_000), max_size=30)),
        depends_on=ids,
        dependency_count=10_000,
        blocked_by=ids,
        approvals_beneath=ids,
        related=Related(depends_on=neighbours, dependents=neighbours, subtasks=neighbours),
        workspace=draw(maybe(workspaces())),
        new_parts=NewParts(draw(st.integers(0, len(content))), len(thoughts), frozenset(call.id for call in made))
        if fresh
        else None,
    )
