"""However long and odd what is asked is, others are answered meanwhile, and it takes no more time than it is long.

That is measured by a second connection, which pings the server all the time: its longest ping is the longest stall.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedRWPair
from pathlib import Path
from typing import Any

import pytest

from server.daemon.handshake import reach
from server.daemon.paths import StatePaths
from server.mcp.tools import TERMINAL_TOOLS, TOOLS
from server.tasks.requests.arguments import shape
from server.tasks.requests.fields import Request
from tests.growth import is_in_proportion
from tests.mcp.test_schemas import META
from tests.servers import Host

LONGEST = 128 * 1024
"""Characters in a field, and then twice as many: more than any takes but the content of files."""

MANY = 20_000
"""Values in a field, and then twice as many: a line has 100,000 at most."""

LEAST = 1000
"""Characters of the longest text that a field takes, from which on that is driven as well as what is too long."""

FLOORS = (0.05, 0.2)
"""Seconds of the longest stall, ten turns of the interpreter that a thread may have it; and of the whole answer."""

UNITS = ("x", " x\n", "\\")
"""What texts are full of that are too long."""

MEANT = ("\\", " x\n", "```sh\n", "<<mcp.A|")
"""What texts are full of that a field takes."""

NEEDED: dict[str, Any] = {
    "message": "$ true",
    "callId": "x",
    "call": "x",
    "outcome": "cancel",
    "taskListId": "x",
    "path": "/x",
}
"""What stands in the required fields that are not driven; `id` is that of a task."""

Filled = Callable[[int], str]
"""The JSON of a value for a size."""


class Wire:
    """A connection to the server, for one request at a time."""

    def __init__(self, lines: BufferedRWPair) -> None:
        self._lines = lines

    def ask(self, method: str, params: str) -> Any:
        """Return the answer, JSON as text in and out of it."""
        meta = json.dumps(META)
        line = f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}"_meta":{meta}}}}}\n'
        self._lines.write(line.encode())
        self._lines.flush()
        return json.loads(self._lines.readline())

    def call(self, tool: str, arguments: str) -> float:
        """Return the seconds that a call of a tool takes."""
        start = time.perf_counter()
        answer = self.ask("tools/call", f'"name":"{tool}","arguments":{arguments},')
        assert "result" in answer or answer["error"]["code"] == -32600, answer
        return time.perf_counter() - start


class Probe:
    """Pings the server in a thread, and keeps the longest time that it had to wait."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._lock = threading.Lock()
        self._longest = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def longest(self, call: Callable[[], float]) -> tuple[float, float]:
        """Return the longest ping during a call, and what the call says it took."""
        with self._lock:  # no ping is under way
            self._longest = 0.0
        took = call()
        with self._lock:
            return self._longest, took

    def stop(self) -> None:
        """Ping no more."""
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(0.001):
            with self._lock:
                start = time.perf_counter()
                self._wire.ask("ping", "")
                self._longest = max(self._longest, time.perf_counter() - start)


@contextmanager
def connected(home: Path) -> Iterator[Wire]:
    link = reach(StatePaths(str(home), ""), "connect", "terminal")
    assert link
    with link.socket, link.socket.makefile("rwb") as lines:
        yield Wire(lines)


@contextmanager
def probed(home: Path) -> Iterator[tuple[Wire, Probe]]:
    with connected(home) as asking, connected(home) as pinging:
        probe = Probe(pinging)
        try:
            yield asking, probe
        finally:
            probe.stop()


def fields(schema: Mapping[str, Any]) -> Iterator[tuple[list[str], Mapping[str, Any]]]:
    """Yield the fields of an object and of those in it, by their paths; "0" is the first item of a list."""
    for name, inner in schema.get("properties", {}).items():
        yield [name], inner
        yield from (([name, *path], found) for path, found in fields(inner))
        yield from (([name, "0", *path], found) for path, found in fields(inner.get("items", {})))


def worst(schema: Mapping[str, Any]) -> Iterator[tuple[int, Filled]]:
    """Yield what is worst for a field: the size of it, and what makes it of a size."""
    match schema.get("type"):
        case "array":
            yield MANY, lambda size: json.dumps([0] * size)
            yield min(schema.get("maxItems", MANY), MANY) // 2, lambda size: json.dumps([f"x{n}" for n in range(size)])
        case "object":
            yield MANY, lambda size: json.dumps({f"A{number}": "" for number in range(size)})
            yield MANY, lambda size: json.dumps({"A": [[]] * size})
            yield 2000, lambda size: json.dumps({f"A{number}": "<<mcp.A>>" for number in range(size)})
        case "integer" | "number":
            yield LONGEST, lambda size: "9" * size
            yield LONGEST, lambda size: json.dumps("9" * size)
        case "string":
            yield from ((LONGEST, _full_of(unit)) for unit in UNITS)
            if (longest := schema.get("maxLength", 0)) >= LEAST:
                yield from ((longest // 2, _full_of(unit)) for unit in MEANT)
        case _:
            yield LONGEST, _full_of("x")


def _full_of(unit: str) -> Filled:
    return lambda size: json.dumps((unit * (size // len(unit) + 1))[:size])


def _nested(path: list[str], value: str) -> str:
    """Return the JSON of a field with this value, in the objects and lists that it stands in."""
    for part in reversed(path[1:]):
        value = f"[{value}]" if part == "0" else f'{{"{part}":{value}}}'
    return f'"{path[0]}":{value}'


TERMINALS = {f"{name} at a terminal": tool for name, tool in TERMINAL_TOOLS.items()}


@pytest.mark.long
@pytest.mark.parametrize("name", [*TOOLS, *TERMINALS])
async def test_no_field_stalls_others_out_of_proportion(host: Host, shared_home: Path, name: str) -> None:
    tool = {**TOOLS, **TERMINALS}[name]
    request: type[Request] = tool.request
    schema = shape(request)
    given = {"id": await host.create("a record", agentId="none"), **NEEDED}
    needed = {field: json.dumps(given[field]) for field in schema.get("required", ())}
    failed = []
    with probed(shared_home) as (asking, probe):
        for path, kind in fields(schema):
            others = "".join(f'"{field}":{value},' for field, value in needed.items() if field != path[0])

            for size, filled in worst(kind):

                def taken(size: int, path: list[str] = path, filled: Filled = filled, others: str = others) -> Any:
                    arguments = f"{{{others}{_nested(path, filled(size))}}}"
                    return probe.longest(lambda: asking.call(tool.name, arguments))

                if not is_in_proportion(taken, size, FLOORS):
                    failed.append((path, filled(20)))
    assert failed == []


HARD: dict[str, tuple[int, Callable[[int], dict[str, Any]]]] = {
    "a secret of backslashes": (
        4000,
        lambda size: {"systemPrompt": "\\" * size, "secrets": {"A": "\\" * (size // 2) + "b"}},
    ),
    "a secret of blanks": (
        4000,
        lambda size: {"systemPrompt": "+" * size, "secrets": {"A": "+ " * (size // 4)}},
    ),
    "many secrets that begin alike": (
        600,
        lambda size: {
            "systemPrompt": "xxxxxxxx00001 " * (size * 4),
            "secrets": {f"S{number}": f"xxxxxxxx{number:05}" for number in range(size)},
        },
    ),
    "many templates": (
        400,
        lambda size: {"env": {"A": "".join(f"<<mcp.A|default('{number}')>>" for number in range(size))}},
    ),
    "files": (2 * 1024**2, lambda size: {"files": [{"path": "a", "content": "\x01" * size}]}),
}


@pytest.mark.long
@pytest.mark.parametrize("what", HARD)
async def test_no_secret_and_no_file_does(host: Host, shared_home: Path, what: str) -> None:
    size, made = HARD[what]
    with probed(shared_home) as (asking, probe):

        def taken(size: int) -> tuple[float, float]:
            arguments = json.dumps({"message": "$ true", "autoExecute": False, **made(size)})
            return probe.longest(lambda: asking.call("create_task", arguments))

        assert is_in_proportion(taken, size, FLOORS)
