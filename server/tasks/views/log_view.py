"""Views of a task's messages, events and thoughts."""

from collections.abc import Sequence

from server.tasks.views import truncation
from server.tasks.views.formatting import time
from server.tasks.views.output_view import MAX_REPEATED, repeated
from server.tasks.views.truncation import AnswerPart
from server.tasks.views.view_models import EventView, MessageView, OutputView, TaskView
from storage.records.events import Event, EventKind
from storage.records.tasks import Message, Snapshot

_LEAST_EVENT = 250
"""Characters in which any event can be shown, its texts shortened."""


def messages(view: TaskView, snapshot: Snapshot) -> AnswerPart:
    """Return the latest messages of the conversation; the one that `output` repeats is shortened."""
    shown = [_message(message, snapshot) for message in snapshot.messages]
    return truncation.items(
        view,
        "messages",
        shown,
        "omittedMessages",
        narrow=_narrow_message,
        least=0,
        latest=True,
        weight=6,
        gone=snapshot.omitted_messages,
    )


def events(view: TaskView, snapshot: Snapshot, after: int) -> AnswerPart:
    """Return the events after number `after`: as many as fit, and at least one, so that a reader always gets on.

    How many of those that came later are not kept any more is said too: they are removed from the first on.
    """
    shown = [_event(event, snapshot.content) for event in snapshot.events]
    first = shown[0]["number"] if shown else snapshot.task.last_event + 1
    if (removed := first - 1 - after) > 0:
        view["omittedEvents"] = removed
    return truncation.items(view, "events", shown, None, narrow=_narrow_event, least=_LEAST_EVENT, whole=True, weight=8)


def thoughts(view: OutputView, thoughts: Sequence[dict[str, str]]) -> list[AnswerPart]:
    """Return the latest thoughts, if there are any."""
    if not thoughts:
        return []
    narrow = truncation.narrowed
    return [
        truncation.items(view, "thoughts", thoughts, "omittedThoughts", narrow=narrow, least=0, latest=True, weight=2)
    ]


def _message(message: Message, snapshot: Snapshot) -> MessageView:
    is_repeated = message.role == "assistant" and message.content == snapshot.content
    content = repeated(message.content) if is_repeated else message.content
    view = MessageView(role=message.role, content=content, createdAt=time(message.at))
    if message.task_id != snapshot.task.id:
        view["taskId"] = message.task_id
    return view


def _narrow_message(view: MessageView, room: int) -> MessageView:
    shown = MessageView(**{**view, "content": ""})
    truncation.fill(shown, [truncation.text(shown, "content", view["content"])], room)
    return shown


def _event(event: Event, content: str) -> EventView:
    data = event.data
    if (
        event.kind == EventKind.DONE
        and len(data.get("finalResponse", "")) > MAX_REPEATED
        and data["finalResponse"] == content
    ):
        data = {**data, "finalResponse": repeated(content)}
    return EventView(number=event.number, at=time(event.at), type=event.kind, data=data)


def _narrow_event(view: EventView, room: int) -> EventView:
    shown = EventView(number=view["number"], at=view["at"], type=view["type"], data={})
    truncation.fill(shown, [truncation.values(shown, "data", view["data"])], room)
    return shown
