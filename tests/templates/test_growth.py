"""Growth of the work of masking with the text, counted in executed lines of code."""

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from templates import automaton, escapes, redaction, search
from templates.redaction import Redactor

FILES = {module.__file__ for module in (automaton, escapes, redaction, search)}

CASES: dict[str, tuple[Callable[[int], dict[str, str]], Callable[[int], str]]] = {
    "a value that nearly stands everywhere": (lambda size: {"A": "a" * size + "b"}, lambda size: "a" * 4 * size),
    "a value that stands everywhere": (lambda _: {"A": "aaaaaaaa"}, lambda size: "a" * size),
    "values that begin alike": (
        lambda size: {f"S{number}": f"{'a' * 30}{number:05}" for number in range(size // 35)},
        lambda size: ("a" * 31 + "0000x") * (size // 30),
    ),
    "values in one another": (
        lambda size: {f"S{number}": "a" * number for number in range(6, 6 + int(size**0.5))},
        lambda size: ("a" * 50 + "b") * (size // 50),
    ),
    "backslashes": (lambda size: {"A": "\\" * size + "b"}, lambda size: "\\" * 2 * size),
    "escapes of a value that looks like one": (
        lambda size: {"A": "%41" * (size // 3), "B": "A" * size, "C": "A%41" * (size // 4)},
        lambda size: "%41" * (size // 2),
    ),
    "line breaks": (lambda size: {"A": "a" * size}, lambda size: "a\n" * size),
    "marks": (lambda size: {"A": "\0" * size}, lambda size: "A\n+ " * size),
}


@contextmanager
def lines_counted() -> Iterator[Callable[[], int]]:
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace if frame.f_code.co_filename in FILES else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lambda: count
    finally:
        sys.settrace(before)


def work(secrets: dict[str, str], text: str, piece: int) -> int:
    with lines_counted() as count:
        stream = Redactor(secrets).stream()
        for start in range(0, len(text), piece):
            stream.feed(text[start : start + piece])
        stream.finish()
        return count()


@pytest.mark.parametrize("piece", [7, 4096])
@pytest.mark.parametrize("case", CASES)
def test_twice_the_secrets_and_the_text_are_at_most_some_more_than_twice_the_work(case: str, piece: int) -> None:
    secrets, text = CASES[case]
    once, twice = (work(secrets(size), text(size), piece) for size in (400, 800))
    assert twice <= 2.5 * once


def test_what_is_kept_to_look_for_64_kib_of_secrets_is_bounded() -> None:
    secrets = {f"S{number}": f"{number:05}".ljust(26, "x") for number in range(2500)}
    text = "".join(secrets.values())
    tracemalloc.start()
    try:
        redactor = Redactor(secrets)
        redactor.redact(text)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 32 * 1024**2
