"""What a model is given to read: bytes and estimated tokens of each answer, as text, as structure and on the wire."""

import base64
import json
import random
from collections.abc import Iterator
from typing import Any

from benchmarks.client import Window
from benchmarks.contestants import all_settled, settled, temporary_home
from benchmarks.effort import Effort
from benchmarks.measure import Row, Target
from benchmarks.tokens import estimate

OUTPUT = 10_000  # characters of a task's output
LINE = 76  # characters of base64, as `base64` breaks it
TASKS = 50  # of the longer list

Limits = dict[str, int]
"""The most bytes of `text` and of `structured`, where the answer is held to any."""

_TASK: Limits = {"text": 8_000, "structured": 8_000}


def rows(effort: Effort) -> Iterator[Row]:
    """The same for every effort: nothing is timed."""
    with temporary_home() as home, home.window("2025-11-25") as remit:
        yield from _introduction(remit)
        yield from _of_one_task(remit)
        yield from _of_many(remit)
        yield from _sizes("list_agents", remit, "list_agents")


def _introduction(remit: Window) -> Iterator[Row]:
    tools = remit.request("tools/list")["tools"]
    read = [{name: tool[name] for name in ("name", "description", "inputSchema")} for tool in tools]
    yield from _size("tools/list, as models read it", _compact(read), Target("value", "≤", 10 * 1024))
    yield from _size("tools/list, whole", _compact(tools), Target("value", "≤", 24 * 1024))
    yield from _size("instructions", str(remit.introduction["instructions"]))


def _of_one_task(remit: Window) -> Iterator[Row]:
    yield from _sizes("create_task", remit, "create_task", message="$ true")
    empty = _done(remit, message="$ true")
    long = _done(remit, message="$ cat uploads/lines", files=[{"path": "lines", "content": _lines()}])
    yield from _sizes("get_task without output", remit, "get_task", _TASK, id=empty)
    yield from _sizes("get_task, 10 KB of output", remit, "get_task", _TASK, id=long)
    everything = ["messages", "events"]
    yield from _sizes("  with messages and events", remit, "get_task", _TASK, id=long, include=everything)


def _of_many(remit: Window) -> Iterator[Row]:
    for number in range(TASKS):
        remit.call("create_task", title=f"Check part {number} of it", message=f"$ echo part {number} is in order")
    all_settled(remit)
    yield from _sizes("list_tasks, 10 of them", remit, "list_tasks", limit=10)
    limits = {"text": 12_000, "structured": 20_000}
    yield from _sizes(f"list_tasks, {TASKS} of them", remit, "list_tasks", limits, limit=TASKS)


def _done(remit: Window, **arguments: Any) -> str:
    task: str = remit.call("create_task", **arguments)["id"]
    settled(remit, task)
    return task


def _lines() -> str:
    """Base64, broken into lines: of all that a command may print, it takes the most tokens."""
    encoded = base64.b64encode(random.Random(2026).randbytes(OUTPUT)).decode()
    lines = [encoded[start : start + LINE] for start in range(0, len(encoded), LINE)]
    return ("\n".join(lines))[: OUTPUT - 1] + "\n"


def _sizes(name: str, remit: Window, tool: str, limits: Limits | None = None, /, **arguments: Any) -> Iterator[Row]:
    line = remit.line("tools/call", name=tool, arguments=arguments)
    result = json.loads(line)["result"]
    blocks = [content["text"] for content in result["content"]]
    copies = {"text": "\n".join(blocks), "structured": _compact(result["structuredContent"])}
    for copy, text in copies.items():
        most = (limits or {}).get(copy)
        yield from _size(f"{name}: {copy}", text, Target("value", "≤", most) if most else None)
    yield Row(name=f"{name}: whole line", unit="B", measured=[len(line)])


def _size(name: str, text: str, target: Target | None = None) -> Iterator[Row]:
    yield Row(name=name, unit="B", measured=[len(text.encode())], target=target)
    yield Row(name="  the same, estimated", unit="tok", measured=[estimate(text)])


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
