"""Where a string stands in a text, held against the slow and obvious way to find it."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from templates.search import Unbroken, line_breaks, occurrences, overlap


def covered(spans: list[tuple[int, int]]) -> set[int]:
    return {index for start, end in spans for index in range(start, end)}


@settings(deadline=None, max_examples=300)
@given(st.text("ab", min_size=1, max_size=8), st.lists(st.integers(1, 8), max_size=8))
@example("aabaa", [5, 3, 4])
def test_occurrences_cover_what_a_search_at_every_place_finds(form: str, sizes: list[int]) -> None:
    text = "".join(form[-size:] for size in sizes)
    found = list(occurrences(text, form))
    assert covered(found) == covered(
        [(start, start + len(form)) for start in range(len(text)) if text.startswith(form, start)]
    )


def test_occurrences_that_overlap_come_as_one() -> None:
    assert list(occurrences("abababa aba", "aba")) == [(0, 7), (8, 11)]


def test_occurrences_that_touch_come_apart() -> None:
    assert list(occurrences("abcabc", "abc")) == [(0, 3), (3, 6)]


@settings(deadline=None, max_examples=300)
@given(st.text("ab", max_size=20), st.text("ab", max_size=20), st.integers(0, 20))
def test_overlap_is_the_longest_end_that_is_a_beginning(left: str, right: str, most: int) -> None:
    sizes = range(min(most, len(left), len(right)) + 1)
    assert overlap(left, right, most) == max(size for size in sizes if right.startswith(left[len(left) - size :]))


def test_overlap_is_never_too_small_where_it_gives_up() -> None:
    assert overlap("a" * 1000, "a" * 500 + "b" * 500, 999) >= 500


@settings(deadline=None)
@given(st.text("ab\r\n", max_size=40))
def test_the_origin_of_a_character_is_where_it_stood(text: str) -> None:
    unbroken = Unbroken(text, line_breaks(2))
    assert [text[unbroken.origin(index)] for index in range(len(unbroken.text))] == list(unbroken.text)
    assert unbroken.origin(len(unbroken.text)) == len(text)


def test_only_short_runs_of_line_breaks_are_left_out() -> None:
    assert Unbroken("\na\r\nb\n\n\nc\r", line_breaks(2)).text == "ab\n\n\nc"
