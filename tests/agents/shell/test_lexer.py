"""Constructs that are open at the end of a line, compared with bash itself."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.agents.shell.lexer import Lexer

SAMPLES = Path(__file__).with_name("commands.txt").read_text().strip("\n").split("\n%%\n")
"""Commands of all kinds, whole and broken, in the grammar of bash."""

PIECES = """
if then elif else fi for i in do done while until case x) esac ;; { } ( ) (( )) [[ ]] $( ${x ` ' " \\ \\" $' $(( a b;
&& || | & ; # << <<E <<'E' E > 2>&1 <( x=( f() function ! time "$(" "${" }" )" $x echo
""".split()


def read(text: str) -> Lexer:
    lexer = Lexer()
    for line in text.split("\n"):
        lexer.feed(line)
    return lexer


def bash(text: str) -> tuple[bool, bool]:
    """Return whether bash takes a text for whole, and whether it misses the end of something in it."""
    checked = subprocess.run(
        ["bash", "-n"], input=f"{text}\n", capture_output=True, text=True, errors="replace", check=False
    )
    is_short = any(
        words in checked.stderr for words in ("here-document", "unexpected end of file", "unexpected EOF while")
    )
    return checked.returncode == 0 and not is_short, is_short


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_command_is_whole_after_the_same_lines_as_in_bash(sample: str) -> None:
    lines = sample.split("\n")
    for count in range(1, len(lines) + 1):
        text = "\n".join(lines[:count])
        if text.endswith("\\"):
            continue  # bash takes the end of its input for the end of such a line
        lexer = read(text)
        assert (lexer.unfinished is None and lexer.stray is None) == bash(text)[0], text


@given(st.lists(st.sampled_from([*PIECES, "\n", " ", " "]), max_size=12).map(" ".join))
@example('function "$(" " )"')
def test_what_bash_takes_for_short_is_never_taken_for_whole(text: str) -> None:
    _, is_short = bash(text)
    lexer = read(text)
    assert not is_short or lexer.unfinished or lexer.stray


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("echo 'a\nb", "a single quote (')", 1),
        ('a\necho "b', 'a double quote (")', 2),
        ("cat <<EOF\nx\n", "the here-document that ends with 'EOF'", 1),
        ("for i in 1\ndo\nif x", "if", 3),
        ("while :; do", "a loop", 1),
        ("case x in", "case", 1),
        ("a $(b", "$(", 1),
        ("f() {", "{", 1),
        ("make &&", "&&", 1),
        ("f()", "the head of a function", 1),
    ],
)
def test_what_is_open_is_named_with_its_line(text: str, what: str, line: int) -> None:
    opened = read(text).unfinished
    assert opened
    assert (opened.what, opened.line) == (what, line)


@pytest.mark.parametrize("word", ["fi", "done", "then", "do", "esac", "}", ")"])
def test_what_closes_nothing_is_found(word: str) -> None:
    stray = read(f"echo a\n{word}").stray
    assert stray
    assert (stray.what, stray.line) == (word, 2)


def test_a_long_command_takes_no_longer_than_its_length() -> None:
    lexer = read("cat <<EOF\n" + "x\n" * 200_000 + "EOF")
    assert lexer.unfinished is None
