"""What the shell agent takes for a command."""

import pytest

from server.agents.shell import MAX_COMMANDS, ShellAgent, commands
from server.errors import Code, RemitError


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param("ls -la", ["ls -la"], id="a bare message is one script"),
        pytest.param("a\nb\n", ["a\nb"], id="a script may have several lines"),
        pytest.param("First:\n$ one\nthen\n$ two", ["one", "two"], id="prompted lines are commands, the rest prose"),
        pytest.param(
            "$ cat <<EOF\n> line\n> EOF\n$ next", ["cat <<EOF\nline\nEOF", "next"], id="a second prompt goes on"
        ),
        pytest.param("$ one \\\n  two\nprose", ["one \\\n  two"], id="a final backslash goes on"),
        pytest.param("Do:\n```sh\none\ntwo\n```\nplease", ["one\ntwo"], id="a fenced block is one command"),
        pytest.param("```bash\none\n```\n```sh\ntwo\n```", ["one", "two"], id="each fenced block is one command"),
        pytest.param(
            "```python\nprint()\n```", ["```python\nprint()\n```"], id="a fence of another language is no command"
        ),
        pytest.param("costs $ 5", ["costs $ 5"], id="a dollar inside a line is no prompt"),
        pytest.param("$ \nprose", [], id="a prompt without a command is none"),
        pytest.param("   \n", [], id="blanks are none"),
    ],
)
def test_commands_are_found(message: str, expected: list[str]) -> None:
    assert commands(message) == expected


def test_a_message_without_a_command_is_refused() -> None:
    with pytest.raises(RemitError) as caught:
        ShellAgent().check("  ")
    assert (caught.value.code, caught.value.details["field"]) == (Code.VALIDATION_ERROR, "message")


def test_too_many_commands_are_refused() -> None:
    with pytest.raises(RemitError) as caught:
        ShellAgent().check("$ true\n" * (MAX_COMMANDS + 1))
    assert caught.value.code is Code.LIMIT_EXCEEDED


def test_a_command_longer_than_the_kernel_takes_is_refused() -> None:
    with pytest.raises(RemitError) as caught:
        ShellAgent().check("€" * 50_000)
    assert caught.value.code is Code.LIMIT_EXCEEDED
