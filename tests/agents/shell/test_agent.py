"""Messages that the shell agent refuses."""

import pytest

from server.agents.endings import NeedsModel
from server.agents.shell.agent import MAX_COMMANDS, ShellAgent
from server.errors import Code, RemitError


def test_a_message_in_words_is_refused_and_repeated() -> None:
    with pytest.raises(NeedsModel) as caught:
        ShellAgent().check("Please summarise the report")
    assert (caught.value.code, caught.value.details["field"]) == (Code.VALIDATION_ERROR, "message")
    assert "'Please summarise the report'" in caught.value.message
    assert "line that starts with '$ '" in caught.value.message


def test_too_many_commands_are_refused() -> None:
    with pytest.raises(RemitError) as caught:
        ShellAgent().check("$ true\n" * (MAX_COMMANDS + 1))
    assert caught.value.code is Code.LIMIT_EXCEEDED


def test_a_command_longer_than_the_kernel_takes_is_refused() -> None:
    with pytest.raises(RemitError) as caught:
        ShellAgent().check("$ " + "€" * 50_000)
    assert caught.value.code is Code.LIMIT_EXCEEDED
