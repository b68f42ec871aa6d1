"""A call as a host's prompt shows it: all of it, or a beginning that cannot pose as all of it."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.tasks.views.call_line import MAX_LINE, line, says

ENDING = re.compile(r"… \((\d+) characters, sha256:([0-9a-f]{8})\)$")


def command(text: str) -> str:
    """Return the line of a shell command, without the name of the tool."""
    shown = line("shell", {"command": text})
    assert shown.startswith("shell: ")
    return shown.removeprefix("shell: ")


def test_a_command_is_shown_as_it_is() -> None:
    assert line("shell", {"command": "rm -rf build && echo 'done: é漢'"}) == "shell: rm -rf build && echo 'done: é漢'"


@pytest.mark.parametrize(
    ("tool", "args", "shown"),
    [
        ("write_file", {"path": "a b", "content": "x\ny"}, r'write_file {"path":"a b","content":"x\ny"}'),
        ("shell", {"command": "ls", "timeout": 5}, 'shell {"timeout":5,"command":"ls"}'),
        ("shell", {"command": ["ls"]}, 'shell {"command":["ls"]}'),
        ("mcp__notes__echo", {}, "mcp__notes__echo {}"),
    ],
)
def test_of_another_tool_name_and_arguments_are_shown(tool: str, args: Mapping[str, Any], shown: str) -> None:
    assert line(tool, args) == shown


@pytest.mark.parametrize(
    ("hiding", "told"),
    [
        ("ls\nrm -rf ~", r"ls\nrm -rf ~"),
        ("ls\r\trm", r"ls\r\trm"),
        ("ls \x1b[2K", r"ls \x1b[2K"),
        ("ls \x9b31m\x7f", r"ls \x9b31m\x7f"),
        ("ls\u2028rm", r"ls\u2028rm"),
        ("ls \u202e~ fr- mr", r"ls \u202e~ fr- mr"),
        ("r\u200bm\ufeff", r"r\u200bm\ufeff"),
        ("r\u034fm\ufe0f\u3164\u2800", r"r\u034fm\ufe0f\u3164\u2800"),
        ("ls\xa0-la", r"ls\xa0-la"),
        ("rm \u05d0/\u0627/\u0661", r"rm \u05d0/\u0627/\u0661"),
        ("ls \uff1b rm \u2026", r"ls \uff1b rm \u2026"),
        ("echo \ud83d", r"echo \ud83d"),
        ("echo \U000e0041", r"echo \U000e0041"),
        ("ls   -la", r"ls \x20\x20-la"),
        ("ls ", r"ls\x20"),
    ],
)
def test_a_command_hides_nothing_behind_characters(hiding: str, told: str) -> None:
    assert command(hiding) == told


@pytest.mark.parametrize("hiding", ["ls\u202e", "ls\u200b", "ls \u2026", "ls\n", "a  b"])
@pytest.mark.parametrize("where", ["name", "argument", "value"])
def test_no_other_tool_hides_anything_behind_characters(hiding: str, where: str) -> None:
    name = hiding if where == "name" else "read"
    shown = line(name, {hiding if where == "argument" else "path": hiding if where == "value" else "a"})
    assert hiding not in shown
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("shell", {"command": "echo a\nb"}), ("shell", {"command": r"echo a\nb"})),
        (("shell", {"command": "a  b"}), ("shell", {"command": r"a \x20b"})),
        (("shell", {"command": "a  b"}), ("shell", {"command": "a b"})),
        (("shell", {"command": "{}"}), ("shell:", {})),
        (("a", {"b": 1}), ('a {"b":1}', {})),
        (("a", {"b": "1"}), ("a", {"b": 1})),
        (("a", {"b": "\x1b"}), ("a", {"b": r"\u001b"})),
        (("a", {"b": "1", "c": "2"}), ("a", {"b": '1","c":"2'})),
    ],
)
def test_two_different_calls_are_told_apart(one: tuple[str, dict[str, Any]], other: tuple[str, dict[str, Any]]) -> None:
    assert not says(line(*one), line(*other))


COMMANDS = st.text(st.sampled_from("ab \\\nxn20…\u202e\x1b'\""), min_size=1, max_size=20)


@given(COMMANDS, COMMANDS)
def test_two_commands_with_the_same_line_are_the_same(one: str, other: str) -> None:
    assert says(command(one), command(other)) == (one == other)


@given(st.text(min_size=1, max_size=300))
def test_a_line_is_printable_and_short_whatever_the_command(text: str) -> None:
    shown = line("shell", {"command": text})
    assert shown.isprintable()
    assert len(shown) <= MAX_LINE
    assert " ".join(shown.split()) == shown.strip()


def test_a_line_of_the_greatest_length_is_shown_in_full() -> None:
    assert command("x" * 193) == "x" * 193


def test_a_longer_line_ends_in_the_length_and_the_hash_of_the_whole() -> None:
    shown = line("shell", {"command": "x" * 150 + "\n" * 100})
    whole = "shell: " + "x" * 150 + r"\n" * 100
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    assert len(shown) == MAX_LINE
    assert shown.endswith(f"… (357 characters, sha256:{digest})")
    assert whole.startswith(ENDING.sub("", shown))


def test_longer_commands_that_differ_behind_the_cut_are_told_apart() -> None:
    assert command("x" * 300 + "a") != command("x" * 300 + "b")


def test_a_command_cannot_pose_as_one_that_was_cut() -> None:
    cut = command("x" * 300)[100:]
    assert ENDING.search(cut)
    assert not ENDING.search(command(cut))


def test_a_long_argument_pushes_no_short_one_out_of_sight() -> None:
    shown = line("Bash", {"description": "x" * 1000, "command": "rm -rf ~"})
    assert shown.startswith('Bash {"command":"rm -rf ~","description":"xxx')


def test_white_space_between_the_words_does_not_count_when_a_line_is_given_back() -> None:
    assert says(" shell:\n rm  -rf\tbuild ", "shell: rm -rf build")


@pytest.mark.parametrize(
    "given",
    [
        "",
        "shell:",
        "rm -rf build",
        "shell:" + "\n" * 300 + "rm -rf build",
        "shell: rm -rf buil",
        "shell: rm -rfbuild",
        "SHELL: rm -rf build",
    ],
)
def test_anything_else_is_not_the_line(given: str) -> None:
    assert not says(given, "shell: rm -rf build")
