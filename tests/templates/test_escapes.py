"""The table of common escapes, compared with reading them again."""

from hypothesis import example, given
from hypothesis import strategies as st

from templates import escapes
from templates.escapes import MOST_LEVELS, readings

pieces = st.sampled_from([*"\\\\\\\\xuUn%&;'\"0123456789abcdefDC. ", "\\x4", "\\\\x", "\\u00", "5c", "\\ud83d", "&#x"])
pieces |= st.sampled_from(["%25", "%5", "\\u0025", "&amp;", "amp;", "=3D", "=C3", "\\u{", "}", "+"])
texts = st.lists(pieces, min_size=1, max_size=40).map("".join)


@example("u002541", "")
@given(texts, texts)
def test_a_known_escape_stands_for_the_same_whatever_follows(escape: str, following: str) -> None:
    text = f"\\{escape}{following}" + "." * 300
    assert readings(text, 0) == escapes._readings(text, 0, MOST_LEVELS)
