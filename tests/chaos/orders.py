"""The tasks that users ask for. Each command writes its token into the ledger of its task, so that executions count."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.journal import Task

LEDGER = "ledger"
TOKEN = re.compile(r"token-[\w.-]+")
GIT = "git -c user.name=a -c user.email=a@example.com"

KINDS = {"plain": 6, "long": 3, "asking": 5, "secret": 3, "upload": 2, "worktree": 2, "record": 2}
"""How often each is asked for."""

NAMED = "NAMED"
TYPED = "TYPED"
"""The secrets of tasks: one that the settings have, and one that is sent."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The parts of tasks in one campaign."""

    project: Path
    """A git repository."""

    secret: str
    """The value that TYPED is sent with."""

    hours: str
    """The first digits of the seconds that commands sleep which somebody has to end: no other process has these."""


class Orders:
    """One user's orders, which depend on nothing but the seed."""

    def __init__(self, user: int, scene: Scene, random: Random) -> None:
        self._user = user
        self._scene = scene
        self._random = random
        self._number = 0

    def next(self) -> tuple[Task, dict[str, Any]]:
        """Return a task to ask for, and the arguments that do it."""
        self._number += 1
        key = f"{self._user}-{self._number}"
        kind = self._random.choices(list(KINDS), weights=list(KINDS.values()))[0]
        task = Task(key, kind, f"{self._scene.hours}.{self._user}{self._number:04}")
        if kind == "secret":
            task.secrets[TYPED] = self._scene.secret
        return task, {"idempotencyKey": key, "title": key, "message": self.message(task, 1), **self._about(task)}

    def message(self, task: Task, turn: int) -> str:
        """Return a message for a turn of a task."""
        commands = [self._command(task, f"token-{task.key}.{turn}.{n}") for n in range(self._random.randint(1, 3))]
        return "\n".join(f"$ {command}" for command in commands)

    def _command(self, task: Task, token: str) -> str:
        note = f"echo {token} >> {LEDGER}"
        match task.kind:
            case "long":
                return f"{note} && (setsid sleep {task.mark} & sleep {task.mark})"
            case "secret":
                return f'{note} && echo "${TYPED} ${NAMED}"'
            case "upload":
                return f"{note} && cat uploads/file"
            case "worktree":
                return f"{note} && git add {LEDGER} && {GIT} commit -qm {token}"
            case _:
                return f"{note} && sleep 0.{self._random.randint(0, 60):02}"

    def _about(self, task: Task) -> dict[str, Any]:
        """Return what there is to say of a kind of task besides its message."""
        match task.kind:
            case "long":
                return {"timeoutSeconds": self._random.choice([2, 3600])}
            case "asking":
                return {"autoExecute": False}
            case "secret":
                return {"secrets": task.secrets, "secretNames": [NAMED]}
            case "upload":
                return {"files": [{"path": "file", "content": "x" * self._random.randint(1, 50_000)}]}
            case "worktree":
                return {"workspace": {"path": str(self._scene.project), "mode": "worktree"}}
            case "record":
                return {"agentId": "none"}
            case _:
                return {}


def written(workspaces: Path) -> Iterator[str]:
    """Yield the tokens that commands have written, each as often as it was."""
    for ledger in workspaces.rglob(LEDGER):
        yield from TOKEN.findall(ledger.read_text())
