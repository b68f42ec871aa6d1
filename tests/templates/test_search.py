"""Positions of words in a text that comes in pieces, broken and escaped."""

from hypothesis import given
from hypothesis import strategies as st

from templates.automaton import Automaton
from templates.positions import Unbroken
from templates.search import Scanner


def covered(spans: list[tuple[int, int]]) -> set[int]:
    return {index for start, end in spans for index in range(start, end)}


def scanner(*words: str, longest: int = 100, marked: bool = False) -> Scanner:
    return Scanner(Automaton(dict.fromkeys(words, "KEY")), 4, longest, marked=marked)


def found(words: Scanner, text: str) -> list[tuple[int, int]]:
    words.feed(text, is_last=True)
    return [(each.start, each.end) for each in sorted(words.found)]


@given(st.text("ab", min_size=1, max_size=8), st.lists(st.integers(1, 8), max_size=8))
def test_occurrences_cover_what_a_search_at_every_place_finds(word: str, sizes: list[int]) -> None:
    text = "".join(word[-size:] for size in sizes)
    assert covered(found(scanner(f"{word}-"), f"{text}-{word}-")) == covered(
        [
            (start, start + len(word) + 1)
            for start in range(len(text) + len(word) + 2)
            if f"{text}-{word}-".startswith(f"{word}-", start)
        ]
    )


def test_an_occurrence_begins_and_ends_with_the_escapes_of_its_characters() -> None:
    assert found(scanner("a/bcd="), "<%61%2Fbcd\\u003d>") == [(1, 16)]


def test_the_same_character_may_be_escaped_in_several_ways() -> None:
    text = "pa\"ss wo'rd %70a\\\"ss+wo&#39;rd pa\\u0022ss%20wo'\\''rd"
    assert len(found(scanner("pa\"ss wo'rd"), text)) == 3


def test_an_escape_that_a_line_break_is_in_is_read() -> None:
    assert found(scanner("abc/def"), "abc%\r\n2\nFdef") == [(0, 12)]


def test_escapes_within_escapes_are_read_three_levels_deep() -> None:
    words = [r'abc"def', r"abc\"def", r"abc\\\"def", r"abc\\\\\\\"def", r"abc\\\\\\\\\\\\\\\"def"]
    assert [len(found(scanner(words[0]), text)) for text in words] == [1, 1, 1, 1, 0]


def test_escapes_of_one_language_within_those_of_another_are_read() -> None:
    texts = ["abc%5C%22def", "abc\\&quot;def", "abc\\u0026quot;def", "abc&#92;%22def"]
    assert [len(found(scanner('abc"def'), text)) for text in texts] == [1, 1, 1, 1]


def test_an_occurrence_that_takes_more_than_the_longest_is_none() -> None:
    assert found(scanner("abcdef", longest=7), "abc\ndef abc\n\ndef") == [(0, 7)]


def test_what_is_undecided_begins_where_a_word_may_begin() -> None:
    words = scanner("abcdef")
    undecided = []
    for piece in ("xyz ab", "c\n", "%6", "4", "x", " 100%", " "):
        words.feed(piece)
        undecided.append(words.undecided)
    assert undecided == [4, 4, 4, 4, 12, 16, 18]


def test_marks_before_lines_are_read_over_where_that_is_asked_for() -> None:
    text = "abc\n+ def"
    assert (found(scanner("abcdef", marked=True), text), found(scanner("abcdef"), text)) == ([(0, 9)], [])


def test_a_sign_at_the_beginning_of_a_line_is_a_mark_or_is_not() -> None:
    assert found(scanner("abc+def", marked=True), "abc\n+def") == [(0, 8)]
    assert found(scanner("abc+def", marked=True), "abc\n++def") == [(0, 9)]


@given(st.text("ab\r\n", max_size=40))
def test_the_origin_of_a_character_is_where_it_stood(text: str) -> None:
    unbroken = Unbroken(text, 2)
    assert [text[unbroken.origin(index)] for index in range(len(unbroken.text))] == list(unbroken.text)
    assert unbroken.origin(len(unbroken.text)) == len(text)


def test_only_short_runs_of_line_breaks_are_left_out() -> None:
    assert Unbroken("\na\r\nb\n\n\nc\r", 2).text == "ab\n\n\nc"
