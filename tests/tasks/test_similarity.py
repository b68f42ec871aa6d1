"""Which calls an approval for always lets pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.tasks.similarity import digest, keys


def similar(approved: str, later: str, tool: str = "shell") -> bool:
    return bool(set(keys(tool, {"command": approved})) & set(keys(tool, {"command": later})))


@given(st.text())
def test_a_command_is_similar_to_itself(command: str) -> None:
    assert similar(command, command)


def test_the_same_first_two_words_are_similar() -> None:
    assert similar("git status --short", "git status --long")


@pytest.mark.parametrize(
    ("approved", "later"),
    [
        pytest.param("git status", "git push", id="another second word"),
        pytest.param("git status", "git", id="one word alone"),
        pytest.param("python a.py", "python b.py", id="an interpreter"),
        pytest.param("python3.12 -m x", "python3.12 -m y", id="an interpreter with a version"),
        pytest.param("/usr/bin/python3 a", "/usr/bin/python3 a b", id="an interpreter by its path"),
        pytest.param("node a.js", "node a.js b", id="node"),
        pytest.param("env A=1 ls", "env A=1 rm", id="a wrapper"),
        pytest.param("find . -name a", "find . -delete", id="find"),
        pytest.param("sudo ls a", "sudo ls b", id="sudo"),
        pytest.param("git -c a=b status", "git -c a=c push", id="git with a setting"),
        pytest.param("uv run a", "uv run b", id="a program that runs others"),
        pytest.param("ls -l a", "ls -l a; rm -rf b", id="a second command"),
        pytest.param("ls -l a", "ls -l $(rm b)", id="a substitution"),
        pytest.param("ls -l a", "ls -l a > b", id="a redirection"),
        pytest.param("ls -l a", "ls -l a\nrm b", id="a second line"),
        pytest.param("A=1 ls b", "A=1 ls c", id="an assignment"),
        pytest.param("rm -f a", "rm -f ../a", id="a relative path"),
        pytest.param("./run test a", "./run test b", id="a program by a relative path"),
        pytest.param("cat a b", "cat\ta b", id="a tab"),
        pytest.param("cat a b", "cat a  'b'", id="quotes"),
    ],
)
def test_what_may_do_something_else_is_not_similar(approved: str, later: str) -> None:
    assert not similar(approved, later)


def test_other_tools_are_similar_by_identical_arguments_only() -> None:
    assert similar("git status a", "git status a", tool="other")
    assert not similar("git status a", "git status b", tool="other")


def test_a_digest_does_not_depend_on_the_order_of_arguments() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
