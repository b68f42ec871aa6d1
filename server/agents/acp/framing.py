"""Framing: the output of an untrusted program as bounded lines of JSON."""

import json
from typing import Any, NoReturn

from server.errors import Code, RemitError
from server.json_text import MAX_VALUES, holds_too_many
from server.line_buffer import LineBuffer
from server.runner.dialogue import ProcessIO

MAX_LINE = 4 * 1024**2
"""Bytes of one message: a call's arguments (1 MiB is accepted), and a file before and after it, escaped."""

MAX_BYTES = 1024**3
"""Bytes in one run. Agents repeat all output of a command with every line of it."""

MAX_DEPTH = 64
"""Levels of nested arrays and objects; deeper ones burden every later reader."""

SHOWN = 200
"""Characters of an invalid line that an error shows."""


class NotJson(Exception):
    """A line that is not valid JSON: what is wrong, and its beginning, not masked."""

    def __init__(self, reason: str, beginning: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.beginning = beginning


class JsonLines:
    """The lines of a program's output, in order."""

    def __init__(self, process_io: ProcessIO) -> None:
        self._process_io = process_io
        self._buffer = LineBuffer()
        self._received = 0

    async def next(self) -> bytes | None:
        """Return the next line that is not blank, without its end; None at the end of the output.

        Raises RemitError (LIMIT_EXCEEDED): when a line, or the whole output, is too long.
        """
        while True:
            while (line := self._buffer.next()) is not None:
                if line.strip():
                    return line
            self._check()
            if not await self._fill():
                return None

    async def _fill(self) -> bool:
        chunk = await self._process_io.receive()
        self._buffer.add(chunk)
        self._received += len(chunk)
        return bool(chunk)

    def _check(self) -> None:
        if len(self._buffer) > MAX_LINE:
            raise RemitError(Code.LIMIT_EXCEEDED, f"the agent sent a message of more than {MAX_LINE} bytes")
        if self._received > MAX_BYTES:
            raise RemitError(Code.LIMIT_EXCEEDED, f"the agent sent more than {MAX_BYTES} bytes in one run")


def parse(line: bytes) -> Any:
    """Parse a line. Lone surrogates are replaced, so that its texts can be stored. Raises NotJson."""
    try:
        if holds_too_many(line):
            raise ValueError(f"JSON of more than {MAX_VALUES} values")
        text = line.decode()
        found = json.loads(text, parse_constant=_refuse)
        if text.count("[") + text.count("{") > MAX_DEPTH and _depth(found) > MAX_DEPTH:
            raise ValueError(f"JSON of more than {MAX_DEPTH} levels")
        if "\\ud" in text or "\\uD" in text:
            found = json.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError) as error:
        reason = str(error) if type(error) is ValueError else "no JSON"
        raise NotJson(reason, line[: 4 * SHOWN].decode(errors="replace")[:SHOWN]) from None
    return found


def encode(message: dict[str, Any]) -> bytes:
    """Encode a message as one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth
