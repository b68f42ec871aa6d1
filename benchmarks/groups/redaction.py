"""How fast output is masked, against replacing the plain values alone."""

import json
import random
import time
from collections.abc import Iterator
from functools import partial

from benchmarks.effort import Effort
from benchmarks.measure import Row, in_turn
from templates.redaction import Redactor

PIECE = 65_536  # characters: a full read from a pipe
PIECES = 16
SECRETS = 5


def rows(effort: Effort) -> Iterator[Row]:
    """Lines of a log in which, now and then, a secret stands, and such as are full of escapes."""
    source = random.Random(2026)
    secrets = {f"SECRET_{number}": source.randbytes(20).hex() for number in range(SECRETS)}
    logs = {"": _log(source, list(secrets.values())), ", bytes in JSON": _log_of_bytes(source)}
    for of, pieces in logs.items():
        masked, replaced = (partial(function, secrets, pieces) for function in (_masked, _replaced))
        measured, baseline = in_turn(effort.passes, masked, replaced)
        yield Row(
            name=f"output masked, {SECRETS} secrets of 40 characters{of}",
            unit="MB/s",
            measured=measured,
            against="str.replace of plain values",
            baseline=baseline,
        )


def _log(source: random.Random, secrets: list[str]) -> list[str]:
    words = [source.randbytes(source.randint(1, 5)).hex() for _ in range(1000)]
    lines: list[str] = []
    length = 0
    while length < PIECE * PIECES:
        line = source.choices(words, k=12) + ([source.choice(secrets)] if source.random() < 0.001 else [])
        lines.append(" ".join(line) + "\n")
        length += len(lines[-1])
    return _pieces("".join(lines))


def _log_of_bytes(source: random.Random) -> list[str]:
    lines = (json.dumps({"read": repr(source.randbytes(60))}) + "\n" for _ in range(PIECE * PIECES // 200))
    return _pieces("".join(lines))


def _pieces(text: str) -> list[str]:
    return [text[start : start + PIECE] for start in range(0, PIECE * PIECES, PIECE)]


def _masked(secrets: dict[str, str], pieces: list[str]) -> float:
    start = time.perf_counter()
    stream = Redactor(secrets).stream()
    masked = "".join([*map(stream.feed, pieces), stream.finish()])
    taken = time.perf_counter() - start
    assert not any(value in masked for value in secrets.values())
    return _speed(pieces, taken)


def _replaced(secrets: dict[str, str], pieces: list[str]) -> float:
    start = time.perf_counter()
    for piece in pieces:
        for name, value in secrets.items():
            piece = piece.replace(value, f"[secret {name}]")
    return _speed(pieces, time.perf_counter() - start)


def _speed(pieces: list[str], seconds: float) -> float:
    return sum(map(len, pieces)) / 1e6 / seconds
