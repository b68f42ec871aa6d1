"""Properties of masking that hold for every value, encoding, surrounding and way of cutting."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from itertools import pairwise
from string import printable

from hypothesis import example, given
from hypothesis import strategies as st

from templates.forms import forms, unbroken
from templates.redaction import MIN_MASKED, Redactor
from templates.steps import finished
from tests.templates.encodings import ENCODINGS, ESCAPES, Encoding

MASK = "[secret KEY]"


def is_masked(value: str) -> bool:
    return len(unbroken(value)) >= MIN_MASKED


values = (st.text(min_size=6, max_size=60) | st.text(printable, min_size=6, max_size=60)).filter(is_masked)
encodings = st.sampled_from(list(ENCODINGS.values()))
surroundings = st.text(max_size=20) | st.text("\r\n ab%\\=A", max_size=20)
cuts = st.lists(st.integers(0, 400), max_size=12)

# Few letters, so that secrets begin, contain and overlap each other, and near misses are common.
repetitive = st.text("ab\n", min_size=6, max_size=12).filter(is_masked)
nested = st.sampled_from(["abaaba", "abaabaab", "baabaa", "aabaabb", "aaaaaa", "aaaaaaaa", "ab\nab\nab", " abaaba "])
secrets = st.dictionaries(st.sampled_from("ABC"), repetitive | nested, min_size=1)
texts = st.lists(nested | st.text("ab\r\n", max_size=8) | st.just("\n" * 7) | st.just("x"), max_size=20).map("".join)


# What has to be escaped, and what escapes are made of.
writable = (
    (
        st.text(min_size=6, max_size=60)
        | st.text(printable + "äß€😀", min_size=6, max_size=60)
        | st.text("\\'\"%&+ n4/=", min_size=8)
    )
    .filter(is_masked)
    .filter(lambda value: all(each.isprintable() or each in "\n\t" for each in value))
)
escapes = st.sampled_from(list(ESCAPES.values()))
harmless = st.sampled_from(["", "in:", "12,"])  # too short to hold a value
repetitive_escapes = st.text("a'\"\\%= ", min_size=7, max_size=12)
escaped_texts = st.lists(
    st.sampled_from(["a", "'", " ", "+", "%61", "%27", "%5c", "%25", "&#39;", "&amp;", "\n"])
    | st.sampled_from(["\\", "%", "\\u0061", "\\\\", "'\\''", "\\u{61}", '"', '""', "''", "=", "=3d", "=20", "=\n"])
    | st.sampled_from(["\x1b[m", "\x1b[1;31m\x1b[K", "\x1b[1", "\x1b"]),
    max_size=30,
).map("".join)


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    return [text[start:end] for start, end in pairwise(places)]


def streamed(redactor: Redactor, text: str, cuts: list[int]) -> str:
    stream = redactor.stream()
    return "".join([*map(stream.feed, pieces(text, cuts)), stream.finish()])


@given(values, encodings, surroundings, surroundings, cuts)
def test_no_form_survives(value: str, encode: Encoding, before: str, after: str, cuts: list[int]) -> None:
    redactor, core = Redactor({"KEY": value}), value.strip("\r\n")
    masked = streamed(redactor, before + encode(core) + after, cuts)
    assert MASK in masked
    for shown in masked.split(MASK):
        assert unbroken(encode(core)) not in unbroken(shown)
        assert finished(redactor.containing(shown)) is None


@given(writable, escapes, harmless, harmless, cuts)
def test_no_escaped_form_survives(value: str, escape: Encoding, before: str, after: str, cuts: list[int]) -> None:
    redactor, core = Redactor({"KEY": value}), value.strip("\r\n")
    masked = streamed(redactor, f"{before} {escape(core)} {after}", cuts)
    assert MASK in masked
    assert all(unbroken(escape(core)) not in unbroken(shown) for shown in masked.split(MASK))
    assert len(masked) <= len(MASK) + len(f"{before} {after}") + 4


@given(writable, st.integers(1, 76), st.sampled_from(["+ ", "+", "-", "    ", "> ", "\t", ">> | ", "# ", ""]), cuts)
def test_wrapped_base64_and_hexadecimal_digits_do_not_survive_marks_before_their_lines(
    value: str, width: int, mark: str, cuts: list[int]
) -> None:
    data = value.strip("\r\n").encode()
    for form in (b64encode(data).decode(), urlsafe_b64encode(data).decode(), data.hex()):
        lines = [form[start : start + width] for start in range(0, len(form), width)]
        text = f"{mark}key:\n" + "".join(f"{mark}{line}\n" for line in lines) + f"{mark}end\n"
        assert streamed(Redactor({"KEY": value}), text, cuts) == f"{mark}key:\n{mark}[secret KEY]\n{mark}end\n"


@example("\\ 'a''\\", " 'a'\\\\'\\''", [])
@example("==\\====", "\x1b[1\\", [3])
@given(repetitive_escapes, escaped_texts, cuts)
def test_a_stream_of_escapes_shows_what_the_whole_would_show(value: str, text: str, cuts: list[int]) -> None:
    redactor = Redactor({"A": value, "B": value[1:]})
    assert streamed(redactor, text, cuts) == redactor.redact(text)
    assert streamed(redactor, text, list(range(len(text)))) == redactor.redact(text)


@given(values, st.binary(max_size=7), st.binary(max_size=7), st.sampled_from([b64encode, urlsafe_b64encode]), cuts)
def test_base64_keeps_only_what_its_surroundings_share(
    value: str, before: bytes, after: bytes, encode: Callable[[bytes], bytes], cuts: list[int]
) -> None:
    core = value.strip("\r\n").encode()
    encoded = encode(before + core + after).decode()
    shown = streamed(Redactor({"KEY": value}), encoded, cuts).split(MASK)
    assert len(shown) > 1
    determined = (len(before) + len(core)) * 8 // 6 - -(-len(before) * 8 // 6)
    assert len("".join(shown)) <= len(encoded) - determined


@given(secrets, texts, cuts)
def test_a_stream_shows_what_the_whole_would_show(secrets: dict[str, str], text: str, cuts: list[int]) -> None:
    redactor = Redactor(secrets)
    assert streamed(redactor, text, cuts) == redactor.redact(text)
    assert streamed(redactor, text, list(range(len(text)))) == redactor.redact(text)


@given(values, encodings, surroundings, cuts)
def test_a_stream_of_any_value_shows_what_the_whole_would_show(
    value: str, encode: Encoding, surrounding: str, cuts: list[int]
) -> None:
    redactor = Redactor({"KEY": value})
    text = surrounding.join([encode(value)[:-1], encode(value), value[1:], value])
    assert streamed(redactor, text, cuts) == redactor.redact(text)


@given(secrets, texts, cuts)
def test_only_a_beginning_of_a_secret_is_held_back(secrets: dict[str, str], text: str, cuts: list[int]) -> None:
    redactor = Redactor(secrets)
    echoed = [" ".join(value.split()) for value in secrets.values()]
    stripped = [value.strip() for value in secrets.values()]
    lines = [line for value in secrets.values() for line in value.split("\n")]
    known = [form for value in (*secrets.values(), *stripped, *echoed, *lines) for form in forms(value)]
    stream, taken = redactor.stream(), ""
    for piece in pieces(text, cuts):
        stream.feed(piece)
        taken += piece
        held = unbroken(taken[len(taken) - stream.held :])
        assert stream.held < redactor.longest
        assert any(form.startswith(held) and form != held for form in known)


@given(secrets, texts, st.integers(0, 160))
def test_a_tail_shows_an_end_of_what_the_whole_would_show(secrets: dict[str, str], text: str, cut: int) -> None:
    redactor = Redactor(secrets)
    assert redactor.redact(text).endswith(finished(redactor.redacting(text, min(cut, len(text)), len(text))))


@given(st.text("АБВ", min_size=6), st.text("где \r\n%=\\", max_size=200), cuts)
def test_a_text_without_secrets_stays_the_same(value: str, text: str, cuts: list[int]) -> None:
    redactor = Redactor({"KEY": value})
    assert streamed(redactor, text, cuts) == text


@given(values, encodings, surroundings, surroundings)
def test_an_occurrence_takes_up_no_more_than_the_longest(value: str, encode: Encoding, before: str, after: str) -> None:
    redactor, core = Redactor({"KEY": value}), value.strip("\r\n")
    text = "\r\n\r\n".join(unbroken(encode(core)))
    assert redactor.redact(f"{before}{text}{after}") != f"{before}{text}{after}"
    assert len(text) <= redactor.longest


@given(st.lists(st.text("abcXYZ", min_size=3), min_size=2, max_size=4), st.sampled_from([" ", "  ", "\n", " \t\n "]))
def test_a_secret_whose_blanks_a_shell_has_joined_is_masked(words: list[str], blank: str) -> None:
    secret = f" {blank.join(words)} "
    assert Redactor({"KEY": secret}).redact(f"<{' '.join(words)}>") == "<[secret KEY]>"


@given(secrets, texts, st.integers(0, 100), st.integers(0, 100))
def test_a_part_of_a_text_shows_nothing_that_the_whole_masks(
    secrets: dict[str, str], text: str, start: int, stop: int
) -> None:
    redactor = Redactor(secrets)
    masks = [f"[secret {name}]" for name in secrets]
    single = [finished(redactor.redacting(text, place, place + 1)) for place in range(len(text))]
    shown = "".join(character for character in single if character not in masks)
    assert shown == without(redactor.redact(text), masks)
    part = finished(redactor.redacting(text, start, max(start, stop)))
    assert without(part, masks) == without("".join(single[start : max(start, stop)]), masks)
    assert finished(redactor.redacting(text, 0, len(text))) == redactor.redact(text)


def without(text: str, masks: list[str]) -> str:
    for mask in masks:
        text = text.replace(mask, "")
    return text
