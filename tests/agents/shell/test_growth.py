"""The time in which messages are read grows with their length, whatever they are full of."""

import time
from contextlib import suppress

import pytest

from server.agents.shell import message
from server.errors import RemitError
from tests.growth import is_in_proportion

SIZE = 6_250
"""Characters; the longest message has sixteen times as many."""

FLOOR = 0.01

REPEATED = {
    "unclosed fences": ("", "```sh\n"),
    "unclosed fences of waves": ("", "~~~\n"),
    "closed fences": ("", "```sh\nls\n```\n"),
    "indented fences": ("", "   ```sh\n"),
    "commands": ("", "$ a\n"),
    "lines of one command": ("$ ", "a\n"),
    "blank lines": ("", "\n"),
    "lines of spaces": ("", "    \n"),
    "carriage returns": ("", "a\r\n"),
    "a script": ("```sh\n", "a\n"),
    "a session": ("```console\n$ a\n", "b\n"),
    "the language of a fence": ("```", "a"),
    "the mark of a fence": ("", "`"),
    "quotes over lines": ("$ ", "'\n"),
    "quotes": ("$ ", "'a' "),
    "double quotes over lines": ("$ ", '"\n'),
    "quotes in substitutions in quotes": ("$ ", '"$('),
    "backquotes": ("$ ", "`\n"),
    "apostrophes": ("$ ", "don't "),
    "here-documents in a line": ("$ ", "cat <<A "),
    "here-documents in lines": ("$ ", "cat <<A\n"),
    "closed here-documents": ("$ ", "cat <<A\nA\n"),
    "the body of a here-document": ("$ cat <<A\n", "$a\n"),
    "quotes in a here-document": ("$ cat <<'A'\n", "'\n"),
    "the end of a here-document": ("$ cat <<", "a"),
    "the quoted end of a here-document": ("$ cat <<", "'a'"),
    "substitutions": ("$ ", "$("),
    "closed substitutions": ("$ ", "$() "),
    "parameters": ("$ ", "${a:-"),
    "parameters in quotes": ("$ ", '"${a:-'),
    "arithmetic": ("$ ", "$((1+"),
    "arithmetic commands": ("$ ", "(( "),
    "subshells": ("$ ", "( "),
    "processes": ("$ ", "<("),
    "if": ("$ ", "if true; then\n"),
    "for": ("$ ", "for a in b; do\n"),
    "case": ("$ ", "case x in\n"),
    "patterns of case": ("$ case x in ", "a) b;; "),
    "braces": ("$ ", "{ "),
    "tests": ("$ ", "[[ a "),
    "arrays": ("$ ", "a=( "),
    "patterns": ("$ ", "?(a"),
    "functions": ("$ ", "f() { "),
    "heads of functions": ("$ ", "f()\n"),
    "coprocesses": ("$ ", "coproc a "),
    "what closes nothing": ("$ ", "done;"),
    "joined lines": ("$ ", "\\\n"),
    "backslashes": ("$ ", "\\"),
    "comments": ("$ ", "#\n"),
    "second prompts": ("$ {\n", "> a\n"),
    "second prompts that open": ("$ {\n", "> {\n"),
    "words": ("$ ", "a "),
    "letters": ("$ ", "a"),
    "spaces": ("$ ", " "),
    "operators": ("$ ", "&& "),
    "redirections": ("$ ", "> "),
    "assignments": ("$ ", "a=$a "),
    "assignments to elements": ("$ ", "a[1]="),
    "brackets": ("$ ", "a[a"),
    "variables": ("$ ", "$a"),
    "exports": ("$ ", "export a "),
    "names that are read": ("$ ", "read a "),
    "sources": ("$ ", ". "),
}


@pytest.mark.parametrize("what", REPEATED)
def test_a_message_twice_as_long_takes_twice_as_long_to_read(what: str) -> None:
    beginning, unit = REPEATED[what]

    def taken(size: int) -> list[float]:
        text = beginning + unit * (size // len(unit))
        start = time.process_time()
        for end in ("", "\n```\n"):
            with suppress(RemitError):
                message.read(text + end)
        return [time.process_time() - start]

    assert is_in_proportion(taken, SIZE, [FLOOR])


def test_so_do_fences_in_fences() -> None:
    def taken(size: int) -> list[float]:
        marks = ["`" * count for count in range(int(size**0.5), 2, -1)]  # a fence in each is shorter than it
        text = "".join(f"{mark}sh\n$ a\n" for mark in marks) + "\n".join(reversed(marks))
        start = time.process_time()
        assert len(message.read(text).commands) == len(marks)
        return [time.process_time() - start]

    assert is_in_proportion(taken, SIZE, [FLOOR])
