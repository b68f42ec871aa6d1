"""Substitution of `<<mcp.KEY>>`, and texts that stay as they are."""

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.errors import Code, RemitError
from templates.resolver import MOST_FILTERS, derived, resolve

VALUES = {"TOKEN": "t0k3n", "items": "a list", "_x1": "low", "EMPTY": "", "PADDED": " a b/c ", "not": "a word"}

chains = st.lists(st.sampled_from(["trim", "urlencode", "b64encode", "default('x')"]), max_size=MOST_FILTERS)
surroundings = st.text(st.sampled_from("<>{}%| \n\\'\"ä") | st.characters(codec="utf-8")).filter(
    lambda text: "mcp." not in text
)
marks = st.sampled_from(["<<mcp.KEY>>", "{{mcp.KEY}}", "<< mcp.KEY\t>>", "{{  mcp.KEY | default('x') }}"])


def failure(text: str, **values: str) -> RemitError:
    with pytest.raises(RemitError) as raised:
        resolve(text, VALUES | values)
    assert raised.value.code is Code.TEMPLATE_ERROR
    return raised.value


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("<<mcp.TOKEN>>", "t0k3n"),
        ("{{mcp.TOKEN}}", "t0k3n"),
        ("Bearer << mcp.TOKEN >>, {{\tmcp.TOKEN }}", "Bearer t0k3n, t0k3n"),
        ("https://<<mcp.TOKEN>>{{mcp.TOKEN}}/", "https://t0k3nt0k3n/"),
        ("cat <<<mcp.TOKEN>>> {{{mcp.TOKEN}}}", "cat <t0k3n> {t0k3n}"),
        ("<<mcp.EMPTY>>", ""),
        ("<<mcp._x1>>", "low"),
    ],
)
def test_both_marks_give_the_value(text: str, resolved: str) -> None:
    assert resolve(text, VALUES) == resolved


@pytest.mark.parametrize("key", ["items", "not"])
def test_a_key_may_be_a_word_of_python_or_jinja(key: str) -> None:
    assert resolve(f"<<mcp.{key}>>", VALUES) == VALUES[key]


@pytest.mark.parametrize(
    ("expression", "resolved"),
    [
        ("mcp.PADDED|trim", "a b/c"),
        ("mcp.PADDED | trim | urlencode", "a%20b/c"),
        ("mcp.TOKEN|b64encode", "dDBrM24="),
        ("mcp.MISSING|default('anonymous')|b64encode", "YW5vbnltb3Vz"),
        ('mcp.MISSING|default( "it\'s >> or }} or | here" )', "it's >> or }} or | here"),
        (r"mcp.MISSING|default('a \'quoted\' word')", "a 'quoted' word"),
        ("mcp.TOKEN|default('anonymous')", "t0k3n"),
        ("mcp.EMPTY|default('anonymous')", ""),
    ],
)
def test_filters_are_applied_in_order(expression: str, resolved: str) -> None:
    assert resolve(f"<<{expression}>>", VALUES) == resolve(f"{{{{ {expression} }}}}", VALUES) == resolved


@pytest.mark.parametrize(
    "text",
    [
        "cat <<EOF\nmcp.TOKEN\nEOF",
        "1 << 2 >> 3",
        "{% for x in mcp.TOKEN %}{# mcp.TOKEN #}",
        "{{ other }} {{mcpx.TOKEN}} <<MCP.TOKEN>> <<mcp>> << x.mcp.TOKEN>>",
        "<<mcp.TOKEN}} {{mcp.TOKEN>>",
        "<<mcp.TOKEN}} and 1 >> 2",
        "<mcp.TOKEN> {mcp.TOKEN} <<mcp.TOKEN> {{mcp.TOKEN}",
        "<<mcp.TOKEN\n>>",
        "cat <<mcp.END\ntext\nmcp.END\necho >>file",
    ],
)
def test_what_is_not_a_span_is_left_as_it_is(text: str) -> None:
    assert resolve(text, VALUES) == text


@pytest.mark.parametrize(
    "span",
    [
        "<<mcp.TOKEN|upper>>",
        "{{mcp.TOKEN|default}}",
        "{{mcp.TOKEN|default(1)}}",
        "{{mcp.TOKEN|default(TOKEN)}}",
        "{{mcp.TOKEN|default('a', true)}}",
        "{{mcp.TOKEN|default('a' ~ 'b')}}",
        "{{mcp.TOKEN|default('a)}}",
        r"{{mcp.TOKEN|default('\x')}}",
        "{{mcp.TOKEN|trim('t')}}",
        "{{mcp.TOKEN|trim|}}",
        "{{mcp.TOKEN.upper()}}",
        "{{mcp.TOKEN[0]}}",
        "{{mcp.TOKEN + 'a'}}",
        "{{mcp.TOKEN if 1 else 2}}",
        "{{mcp.1ST}}",
        "{{mcp.TÖKEN}}",
        "{{mcp.}}",
    ],
)
def test_a_span_that_is_not_understood_is_quoted(span: str) -> None:
    error = failure(f"before <<mcp.TOKEN>> {span} it's after")
    assert error.details == {"span": span}
    assert span in error.message


def test_no_chain_of_filters_makes_a_letter_into_megabytes() -> None:
    error = failure(f"<<mcp.A{'|b64encode' * 30}>>", A="x")
    assert "4 at most" in error.message


def test_a_text_that_becomes_longer_than_a_program_can_be_given_is_refused() -> None:
    error = failure("<<mcp.A>>" * 100, A="x" * 10_000)
    assert "longer than 131072 characters" in error.message
    assert "xx" not in error.message


@pytest.mark.parametrize("filters", ["", "|trim", "|b64encode", "|urlencode", "|trim|default('late')"])
def test_a_missing_key_is_named(filters: str) -> None:
    error = failure(f"<<mcp.MISSING{filters}>>")
    assert error.details == {"key": "MISSING"}
    assert "MISSING" in error.message


@pytest.mark.parametrize("text", ["{{mcp.HALF|urlencode}}", "{{mcp.HALF|b64encode}}"])
def test_no_value_hangs_on_to_an_error(text: str) -> None:
    with pytest.raises(RemitError, match="HALF is not valid Unicode") as raised:
        resolve(text, {"HALF": "hunter2\ud800"})
    assert raised.value.__context__ is None
    assert raised.value.__cause__ is None


def test_derived_gives_what_becomes_of_each_span_of_a_secret() -> None:
    text = "<<mcp.PADDED|trim>>:{{mcp.TOKEN}} <<mcp.PADDED|urlencode|b64encode>> {{mcp.OTHER|default('x')}} <<mcp.}} F"
    assert derived(text, VALUES) == [
        ("PADDED", "a b/c"),
        ("TOKEN", "t0k3n"),
        ("PADDED", "JTIwYSUyMGIvYyUyMA=="),
    ]


def test_derived_raises_no_value() -> None:
    with pytest.raises(RemitError, match="HALF is not valid Unicode") as raised:
        derived("{{mcp.HALF|b64encode}}", {"HALF": "hunter2\ud800"})
    assert raised.value.__context__ is None


@given(surroundings, marks, surroundings, marks, surroundings, surroundings)
@example("<<", "<<mcp.KEY>>", ">>{{", "{{mcp.KEY}}", "}}", "mcp.KEY")
@example("", "<<mcp.KEY>>", "", "{{mcp.KEY}}", "", "<<mcp.KEY>>{{mcp.KEY}}\\1\\g<0>")
def test_nothing_but_spans_changes_and_values_are_not_looked_at_again(
    before: str, first: str, between: str, second: str, after: str, value: str
) -> None:
    resolved = resolve(before + first + between + second + after, {"KEY": value})
    assert resolved == before + value + between + value + after


@given(surroundings)
def test_a_text_without_spans_stays_the_same(text: str) -> None:
    assert resolve(f"{text} mcp.KEY", {}) == f"{text} mcp.KEY"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\\'\r\n")))
@example("}} >> {{mcp.KEY}} | trim")
def test_any_literal_can_be_a_default(literal: str) -> None:
    assert resolve(f"<<mcp.KEY|default('{literal}')>>", {}) == literal


@given(st.text())
def test_any_value_can_be_filtered(value: str) -> None:
    assert resolve("<<mcp.KEY|trim|urlencode>>", {"KEY": value}) == quote(value.strip())


@given(
    surroundings,
    st.lists(st.sampled_from(["trim", "urlencode", "b64encode", "default('x')"]), max_size=4),
    surroundings,
)
def test_derived_gives_the_very_text_that_is_filled_in(before: str, filters: list[str], after: str) -> None:
    text = f"{before}<<{'|'.join(['mcp.PADDED', *filters])}>>{after}"
    ((key, filled),) = derived(text, VALUES)
    assert (key, resolve(text, VALUES)) == ("PADDED", f"{before}{filled}{after}")
