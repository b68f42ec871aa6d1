"""The commands of a message, and the lines that are none."""

from contextlib import suppress
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.agents.shell.message import ShellCommand, read
from server.errors import Code, RemitError


def commands(message: str) -> list[str]:
    return [command.text for command in read(message).commands]


@pytest.mark.parametrize(
    ("message", "mistake"),
    [
        pytest.param("1. $ ls\n2. $ pwd", "the beginning of '1. $ ls'", id="a numbered list"),
        pytest.param("- $ ls", "the beginning of '- $ ls'", id="a bullet"),
        pytest.param("    $ ls", "the beginning of '    $ ls'", id="an indentation"),
        pytest.param("\t$ ls", r"the beginning of '\t$ ls'", id="a tab"),
        pytest.param("$\tls", r"the beginning of '$\tls'", id="a tab after it"),
        pytest.param("$\u00a0ls", r"the beginning of '$\xa0ls'", id="a blank that is no space"),
        pytest.param("\u200b$ ls", r"the beginning of '\u200b$ ls'", id="a character that is not seen"),
        pytest.param("> $ ls", "the beginning of '> $ ls'", id="a quotation"),
        pytest.param("user@host:~$ ls", "the beginning of 'user@host:~$ ls'", id="a prompt with a name"),
        pytest.param("Do:\n```zsh\nls\n```", "begins with ```sh, not with ```zsh)", id="a block of another language"),
        pytest.param("```\nls\n```", "begins with ```sh, not with ```)", id="a block of no language"),
        pytest.param("Do ```sh\nls\n```\nthen\n```", "not with 'Do ```sh')", id="a block behind words"),
        pytest.param("> ```bash\n> ls\n> ```", "not with '> ```bash')", id="a block in a quotation"),
        pytest.param("- Do:\n\n    ```sh\n    ls\n    ```", "not with '    ```sh')", id="a block far indented"),
    ],
)
def test_it_is_said_why_what_was_meant_as_a_command_is_none(message: str, mistake: str) -> None:
    found = read(message)
    assert found.commands == []
    assert mistake in found.mistake
    assert found.mistake in found.warnings[0]


@pytest.mark.parametrize("message", ["It costs $ 5", "Delete the logs", "$", "5 $ ", "mail a@b.de and pay $ 5"])
def test_words_are_no_mistake(message: str) -> None:
    assert read(message).mistake == ""


def test_a_byte_order_mark_before_the_first_prompt_is_passed_over() -> None:
    assert commands("\ufeff$ ls") == ["ls"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param("ls -la", [], id="words are none"),
        pytest.param("Delete the logs; rm -rf * only if the disk is full", [], id="words with a command in them"),
        pytest.param("1. $ echo a", [], id="a list"),
        pytest.param("  $ echo a", [], id="an indented prompt"),
        pytest.param("costs $ 5", [], id="a dollar inside a line"),
        pytest.param("```python\nprint()\n```", [], id="a fence of another language"),
        pytest.param("```python\n$ rm x\n```", [], id="a prompt in a fence of another language"),
        pytest.param("```\nrm -rf x\n```", [], id="a fence without a language and prompts"),
        pytest.param("$ \nprose", [], id="a prompt alone"),
        pytest.param("   \n", [], id="blanks"),
        pytest.param("First:\n$ one\n\nthen\n$ two", ["one", "two"], id="prose beside commands"),
        pytest.param("$ one\ntwo\n\nprose", ["one\ntwo"], id="lines up to an empty one"),
        pytest.param(
            "$ cat > a.py <<'EOF'\nprint(1+1)\nEOF\n$ python3 a.py",
            ["cat > a.py <<'EOF'\nprint(1+1)\nEOF", "python3 a.py"],
            id="a here-document",
        ),
        pytest.param(
            "$ cat <<EOF\na\n\n$ b\n```sh\nc\n```\nEOF\n$ next",
            ["cat <<EOF\na\n\n$ b\n```sh\nc\n```\nEOF", "next"],
            id="a here-document over empty lines, prompts and fences",
        ),
        pytest.param(
            "$ for i in 1 2; do\n\n  echo $i\ndone\n$ next",
            ["for i in 1 2; do\n\n  echo $i\ndone", "next"],
            id="a loop",
        ),
        pytest.param("$ echo 'a\n$ b'", ["echo 'a\n$ b'"], id="a quote over a prompt"),
        pytest.param("$ one \\\n  two", ["one \\\n  two"], id="a backslash at the end"),
        pytest.param("$ cat <<EOF\n> line\n> EOF\n$ next", ["cat <<EOF\nline\nEOF", "next"], id="second prompts"),
        pytest.param("$ one \\\n> two |\n>  three", ["one \\\ntwo |\n three"], id="second prompts after a backslash"),
        pytest.param("$ npm test\n> app@1.0.0 test\n> jest\nPASS", ["npm test"], id="output that looks like prompts"),
        pytest.param("```console\n$ npm t\n> jest\n$ ls\n```", ["npm t", "ls"], id="such output in a session"),
        pytest.param('$ git commit -m "a\n\n> b\n> c"', ['git commit -m "a\n\n> b\n> c"'], id="a quotation in a quote"),
        pytest.param(
            "$ cat <<E\n> a\nE\n$ cat <<E\n> a\n> E", ["cat <<E\n> a\nE", "cat <<E\na\nE"], id="prompts only in one"
        ),
        pytest.param("1. Do:\n   ```sh\n   ls\n    a\n   ```", ["ls\n a"], id="an indented block"),
        pytest.param("- ```bash\n  ls\n\n   a\n  ```\nend", ["ls\n\n a"], id="a block behind a bullet"),
        pytest.param("1. ```sh\n   ls\n   ```\n2) ```sh\n   a\n   ```", ["ls", "a"], id="blocks behind numbers"),
        pytest.param("- ```console\n  $ ls\n  a.txt\n  ```", ["ls"], id="a session behind a bullet"),
        pytest.param("$ one\n- ```sh\n  two\n  ```", ["one", "two"], id="a bullet with a block below a command"),
        pytest.param("- ```python\n  $ rm x\n  ```", [], id="a block of another language behind a bullet"),
        pytest.param("```sh\nls\n  ```\nprose; rm x", ["ls"], id="a block whose end is indented"),
        pytest.param("```bash\n# first\n$ one\n\n# then\n$ two\n```", ["one", "two"], id="prompts below a comment"),
        pytest.param("$ cat <<EOF\n> quoted\nEOF", ["cat <<EOF\n> quoted\nEOF"], id="a quotation in a document"),
        pytest.param("Do:\n```sh\none\n\ntwo\n```\nplease", ["one\n\ntwo"], id="a fenced block is one command"),
        pytest.param("```bash\none\n```\n```shell\ntwo\n```", ["one", "two"], id="each block is one"),
        pytest.param("```sh\n$ one\n$ two\n```", ["one", "two"], id="prompts in a block"),
        pytest.param("```console\n$ ls\na.txt\n$ cat a.txt\nhello\n```", ["ls", "cat a.txt"], id="a session"),
        pytest.param("```\n$ ls\n```", ["ls"], id="a fence without a language, with prompts"),
        pytest.param("````sh\ncat <<E\n```\nE\n````", ["cat <<E\n```\nE"], id="a longer fence"),
        pytest.param("$ one\n```sh\ntwo\n```\n$ three", ["one", "two", "three"], id="prompts and fences in order"),
        pytest.param("$ echo a\r\n$ echo b\r\n", ["echo a", "echo b"], id="line ends of Windows"),
        pytest.param(
            "$ echo 'a\u2028b\x85c\x0cd'", ["echo 'a\u2028b\x85c\x0cd'"], id="what only looks like a line end"
        ),
    ],
)
def test_commands_are_found(message: str, expected: list[str]) -> None:
    assert commands(message) == expected


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("Look:\n$ echo 'a", "a single quote (') in line 2"),
        ("$ true\n$ cat <<EOF\nx", "the here-document that ends with 'EOF' in line 2"),
        ("$ for i in 1; do\necho", "a loop in line 1"),
        ("Look:\n```sh\ntrue\nif x; then\n```", "if in line 2 of its block is never closed;"),
        ("```sh\n\n$ echo 'a\n```", "a single quote (') in line 3 is"),
        ("```sh\ntrue", "the fence ```sh in line 1"),
        ("Look:\n- ```bash\n  ls", "the fence ```bash in line 2 is never closed"),
        ("1. ```bash\nls\n```", "the fence ```bash in line 1 stands behind '1. ', and line 2 is not indented as far"),
        ("- ```sh\n  ls\n```\nrm x", "the fence ```sh in line 1 stands behind '- ', and line 3 is not indented as far"),
        ("Do:\nUse ```bash\nls\n```", "the fence ``` in line 4 is never closed (a block of commands begins with"),
        ("Do:\nUse ```bash\nls\n```", "not with 'Use ```bash')"),
        ("```sh\ncat <<EOF\n```\nx\n```\nEOF\n```", "longer fence, as ````sh"),
        ("Look:\n```sh\nls\n$ rm x\n```", "line 2 of a block begins with '$ ', and its first command does not"),
        ("```sh\ntrue\necho don't\nx'\n```", "the apostrophe in line 2 of its block opens a quote"),
        ("```sh\ntrue\nfi\n```", "fi in line 2 of its block closes"),
        ("$ echo don't\n\nThat's it; rm -rf *", "the apostrophe in line 1"),
        ("$ make\nthen\n", "then in line 2"),
        ("$ a &&\n\n$ b", "&& in line 1"),
        ("$ a \\\n$ b", "a backslash at the end of the line in line 1"),
    ],
)
def test_a_command_that_is_not_whole_is_refused_and_named(message: str, named: str) -> None:
    with pytest.raises(RemitError) as caught:
        read(message)
    assert (caught.value.code, caught.value.details["field"]) == (Code.VALIDATION_ERROR, "message")
    assert named in caught.value.message


def test_what_is_left_out_is_said_with_its_beginning() -> None:
    (warning,) = read("Please\ndo this:\n\n$ true\n\n" + "x" * 1000).warnings
    assert warning.startswith("message: taken for prose and left out: 'Please do this: xxx")
    assert len(warning) < 200


def test_lines_that_run_with_the_command_above_are_said() -> None:
    (warning,) = read("$ ls\na.txt\n\n$ cat <<E\nx\nE").warnings
    assert warning.startswith("message: line 2 runs as a part of the command above")


@pytest.mark.parametrize(
    "script",
    [
        "#!/bin/sh\ntrue\nls",
        "#!/bin/sh\ncat <<E\n\n$ x\nE",
        "#!/usr/bin/env python3\nif True:\n    print('(it''s')",
        '#!/usr/bin/env python3\nprint("a',
    ],
)
def test_the_lines_below_the_name_of_an_interpreter_are_its_script(script: str) -> None:
    found = read(f"$ {script}\n$ ls\n\n$ {script}\n```sh\nls\n```")
    assert ([command.text for command in found.commands], found.warnings) == ([script, "ls"] * 2, [])


def test_nothing_is_said_of_a_message_that_holds_nothing_but_commands() -> None:
    assert read("$ true\n\n$ cat <<E\nx\nE\n```sh\nls\n```\n").warnings == []


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("#!/usr/bin/env python3", ("/usr/bin/env", "python3")),
        ("#! /usr/bin/perl -w -T ", ("/usr/bin/perl", "-w -T")),
        ("#!/bin/sh", ("/bin/sh",)),
        ("# a comment", None),
        ("#!python3", None),
    ],
)
def test_the_first_line_names_an_interpreter_as_for_the_kernel(first: str, expected: tuple[str, ...] | None) -> None:
    assert ShellCommand(f"{first}\nprint(')')", 1).interpreter == expected


LINES = [
    "$ ",
    "$ cat <<E",
    "E",
    "> E",
    "> x",
    ">",
    "",
    "```sh",
    "```",
    "````",
    "$ echo 'a",
    "'",
    "if x",
    "fi",
    "\r",
    "x \\",
]


@given(st.lists(st.sampled_from(LINES), max_size=15).map("\n".join))
def test_every_message_is_read_or_refused(message: str) -> None:
    with suppress(RemitError):
        assert all(command.text.strip() for command in read(message).commands)


@pytest.mark.parametrize(
    "line",
    [
        "> cat <<'> E'",
        "$ a",
        "'",
        "echo $(( (",
        "> '",
        "```" + " " * 20_000 + "`",
        "a" + "`" * 20_000,
        "a" + "``` sh" * 5000,
    ],
)
def test_the_time_to_read_a_message_grows_with_its_length_alone(line: str) -> None:
    message = "$ cat <<E\n" + f"{line}\n" * (100_000 // (len(line) + 1))
    start = perf_counter()
    with suppress(RemitError):
        read(message)
        read(message.replace("<<E", ""))
    assert perf_counter() - start < 5  # on a machine that is busy with much else


def test_what_an_interpreter_reads_is_not_taken_for_shell() -> None:
    assert commands("```sh\n#!/usr/bin/env python3\nprint('(it''s')\nx = \"'\"\n```") != []
