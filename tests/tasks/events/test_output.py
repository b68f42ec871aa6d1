"""Output on its way from a command to a reader."""

import base64
from itertools import pairwise

import anyio
from hypothesis import given
from hypothesis import strategies as st

from server.tasks.events.output import CommandOutput
from server.tasks.secrets.masking import Masker

SECRET = "hunter2-hunter2"


def run(chunks: list[bytes], *, limit: int = 10_000, secrets: dict[str, str] | None = None) -> CommandOutput:
    output = CommandOutput(Masker(secrets or {}), limit)
    shown = "".join([*map(output.feed, chunks), anyio.run(output.finish)])
    assert shown == output.text
    return output


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(st.text(max_size=300), st.lists(st.integers(0, 1000), max_size=5))
def test_short_output_is_shown_as_it_is_however_it_was_cut(text: str, places: list[int]) -> None:
    assert run(cut(text.encode(), places)).text == text


@given(st.lists(st.integers(0, 1000), max_size=6), st.integers(0, 120), st.integers(0, 120))
def test_no_cut_and_no_limit_lets_a_secret_through(places: list[int], before: int, after: int) -> None:
    data = b"x" * before + SECRET.encode() + b"y" * after + base64.b64encode(SECRET.encode()) + b"z" * before
    output = run(cut(data, places), limit=60, secrets={"S": SECRET})
    assert SECRET not in output.text
    assert not any(SECRET[start : start + 8] in output.text for start in range(len(SECRET) - 7))


def test_both_ends_of_long_output_are_kept_and_the_rest_is_counted() -> None:
    output = run([b"a" * 100_000, b"b" * 100_000], limit=1000)
    assert output.text.startswith("a" * 500)
    assert output.text.endswith("b" * 500)
    assert output.dropped == 199_000
    assert "199000 characters" in output.text


def test_one_endless_line_is_bounded() -> None:
    output = run([b"x" * 65_536] * 200, limit=4096)
    assert len(output.text) < 4200


def test_output_that_comes_in_one_piece_is_bounded_like_any_other() -> None:
    output = run([b"x" * 9000], limit=4096)
    assert (output.text.count("x"), output.dropped) == (4096, 4904)


def test_output_as_long_as_the_limit_is_whole() -> None:
    output = run([b"x" * 4096], limit=4096, secrets={"S": SECRET})
    assert (output.text, output.dropped) == ("x" * 4096, 0)


def test_output_of_what_was_cancelled_is_whole() -> None:
    output = CommandOutput(Masker({"S": SECRET}), 10_000)
    output.feed(b"all of it, hunter")  # what might begin the secret is held back until the end

    async def finish() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await output.finish()

    anyio.run(finish)
    assert (output.text, output.dropped) == ("all of it, hunter", 0)


def test_bytes_that_are_no_text_are_shown_as_replacements() -> None:
    assert run([b"a\xff", b"b\xc3"]).text == "a\ufffdb\ufffd"


def test_a_character_cut_in_two_is_whole_again() -> None:
    assert run(["ü".encode()[:1], "ü".encode()[1:]]).text == "ü"
