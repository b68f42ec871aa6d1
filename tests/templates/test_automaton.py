"""Words that are found in a text all at once, held against the slow and obvious way to find them."""

from hypothesis import given
from hypothesis import strategies as st

from templates.automaton import Automaton, Ending

words = st.lists(st.text("ab", min_size=1, max_size=8), min_size=1, max_size=8, unique=True)
texts = st.text("abc", max_size=60)


def state_after(automaton: Automaton, text: str) -> int:
    state = 0
    for character in text:
        state = automaton.step(state, character)
    return state


@given(words, texts)
def test_a_state_is_the_longest_end_that_begins_a_word(known: list[str], text: str) -> None:
    automaton = Automaton(dict.fromkeys(known, "KEY"))
    begins = [size for size in range(len(text) + 1) for word in known if word.startswith(text[len(text) - size :])]
    assert automaton.depths[state_after(automaton, text)] == max(begins)


@given(words, texts)
def test_an_unfinished_state_is_the_longest_end_that_begins_more_than_itself(known: list[str], text: str) -> None:
    automaton = Automaton(dict.fromkeys(known, "KEY"))
    ends = [text[len(text) - size :] for size in range(len(text) + 1)]
    begun = [len(end) for end in ends for word in known if word.startswith(end) and word != end]
    assert automaton.depths[automaton.unfinished(state_after(automaton, text))] == max(begun, default=0)


@given(words, texts)
def test_the_longest_word_that_ends_at_each_index_is_found(known: list[str], text: str) -> None:
    longer = [f"c{word}" for word in known]
    found: list[Ending] = []
    Automaton({word: word for word in longer}).read(text, 0, len(text), len(text), 0, found)
    ending = {end: [word for word in longer if text.endswith(word, 0, end)] for end in range(len(text) + 1)}
    assert found == [
        Ending(end, len(longest), longest)
        for end, at_hand in ending.items()
        if at_hand and (longest := max(at_hand, key=len))
    ]


def test_reading_ends_where_no_word_has_begun_any_more() -> None:
    automaton = Automaton({"abcd": "KEY"})
    assert automaton.read("abxabcd", 0, 1, 7, 0, []) == (0, 3)
