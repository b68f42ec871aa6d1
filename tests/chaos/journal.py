"""A journal of the answers that users got, compared with the state at the end; and the faults found."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

ENDED = frozenset({"completed", "failed", "cancelled"})


@dataclass
class Task:
    """A task that a user has asked for, as far as the user knows it."""

    key: str
    kind: str
    mark: str
    """The argument of the commands of the task that would go on for hours."""

    secrets: dict[str, str] = field(default_factory=dict)
    id: str = ""
    parent: str | None = None
    messages: list[str] = field(default_factory=list)
    """Those that were acknowledged."""

    decisions: dict[str, str] = field(default_factory=dict)
    """The outcomes that were acknowledged, by the ids of the calls."""

    ends: set[tuple[str, str]] = field(default_factory=set)
    """Each end that was told: when, and in which state."""

    reported: int = 0
    attempted: int = 0
    """The number in the last report of progress that was acknowledged, and that was sent."""

    is_deleted: bool | None = False
    """None where the answer to a deletion did not come."""


class Journal:
    """The tasks of all users by their keys, and the faults that were found."""

    def __init__(self, canaries: Collection[bytes]) -> None:
        """`canaries` are the forms of secrets that must be found nowhere."""
        self.tasks: dict[str, Task] = {}
        self.refused_keys: set[str] = set()
        """Keys of creations that were refused when they were first sent."""

        self.faults: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.words: Counter[str] = Counter()
        """What errors said, for whoever looks for unclear ones."""

        self._canaries = canaries

    def known(self, *kinds: str) -> list[Task]:
        """Return the tasks that were acknowledged and not removed since, of these kinds or of all."""
        return [
            task
            for task in self.tasks.values()
            if task.id and task.is_deleted is False and (not kinds or task.kind in kinds)
        ]

    def beneath(self, task: Task) -> Iterator[Task]:
        """Yield the task and its sub-tasks, at any depth."""
        yield task
        for each in self.tasks.values():
            if each.parent == task.id and each.id:
                yield from self.beneath(each)

    def fault(self, kind: str, about: str) -> None:
        """Note that something is wrong; `kind` is one word."""
        self.faults[f"{kind}: {about}"] += 1

    def told(self, task: Task, view: dict[str, Any]) -> None:
        """Note what an answer says about a task."""
        if view["status"] in ENDED:
            task.ends.add((view["completedAt"], view["status"]))

    def said(self, code: str, message: str) -> None:
        """Note an error; an internal one explains nothing to anybody, and is a fault."""
        self.counts[code] += 1
        self.words[message[:160]] += 1
        if "internal error" in message:
            self.fault("unexplained", message)

    def heard(self, line: bytes) -> None:
        """Look for secrets in what a server says."""
        if any(canary in line for canary in self._canaries):
            self.fault("leaked", f"an answer holds a secret: {line[:300]!r}")
