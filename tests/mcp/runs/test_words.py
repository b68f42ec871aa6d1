"""Words are no script: what the shell agent does with a message that shows no commands, and who takes words."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.homes import Windows
from tests.models.script import Say, steps
from tests.models.server import Model
from tests.models.shared import Asking, Serve
from tests.servers import Host

Asked = Callable[[Model], AbstractAsyncContextManager[Host]]


@pytest.fixture
def with_model(shared_windows: Windows, asking: Asking) -> Asked:
    """A window on a server whose llm agent does what names no agent, with a scripted model."""

    def opened(scripted: Model) -> AbstractAsyncContextManager[Host]:
        return shared_windows(REMIT_DEFAULT_AGENT="llm", **asking(scripted, "openai"))

    return opened


DELETING = "Delete the old logs; rm -rf * in the current folder only if the disk is full"


@pytest.mark.behaviour("create_task:message:words")
@pytest.mark.parametrize(
    "message", [DELETING, f"1. $ {DELETING}", f"  $ {DELETING}", f"```python\n{DELETING}\n```", f"# {DELETING}"]
)
async def test_words_for_the_shell_agent_make_no_task(host: Host, message: str) -> None:
    before = (await host.call("list_tasks"))["total"]
    error = await host.fail("create_task", message=message)
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "message")
    assert "line that starts with '$ '" in error["message"]
    assert "Delete the old logs" in error["message"]
    assert (await host.call("list_tasks"))["total"] == before


async def test_where_no_agent_has_a_model_the_refusal_names_the_setting(host: Host) -> None:
    error = await host.fail("create_task", message="Summarise the report")
    assert "[agents.llm] model" in error["message"]


async def test_a_further_message_in_words_is_refused_as_a_first_one_is(host: Host) -> None:
    task = await host.done("$ true")
    error = await host.fail("send_message", id=task["id"], message=DELETING)
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "message")
    assert (await host.call("get_task", id=task["id"]))["messageCount"] == 2


async def test_what_was_taken_for_prose_is_said_in_both_answers(host: Host) -> None:
    created = await host.call("create_task", message="First look:\n$ true")
    assert created["warnings"] == ["message: taken for prose and left out: 'First look:'"]
    await host.until(created["id"], "completed")
    sent = await host.call("send_message", id=created["id"], message="$ true\n\nThank you.")
    assert sent["warnings"] == ["message: taken for prose and left out: 'Thank you.'"]


async def test_a_refusal_repeats_no_secret(host: Host) -> None:
    error = await host.fail("create_task", message="use open-sesame", secrets={"S": "open-sesame"})
    assert (error["field"], "open-sesame" in error["message"]) == ("message", False)


@pytest.mark.parametrize("tool", ["create_task", "send_message"])
async def test_a_nul_in_a_command_is_refused_by_field(host: Host, tool: str) -> None:
    asked = {"id": (await host.done("$ true"))["id"]} if tool == "send_message" else {}
    error = await host.fail(tool, message="$ echo a\0b", **asked)
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "message")


async def test_a_here_document_is_written_whole(host: Host) -> None:
    task = await host.done(
        "$ cat > a.py <<'EOF'\nprint(1+1)\n\n$ no command\nEOF\n$ cat a.py; head -1 a.py | python3 -"
    )
    assert task["output"]["content"] == "print(1+1)\n\n$ no command\n2\n"


async def test_a_message_of_one_line_whose_program_is_not_there_is_told_of_agents_with_a_model(host: Host) -> None:
    task = await host.done("$ Summarise the report")
    assert "choose an agent with a model" in task["error"]


@pytest.mark.parametrize(
    "message",
    [
        "$ true\n$ nodejs-is-not-here x",
        "$ nodejs-is-not-here x; exit 127\n\nprose",
        "$ sh -c 'nodejs-is-not-here x'",
        "$ true nodejs-is-not-here; exit 127",
    ],
)
async def test_a_missing_program_of_a_longer_message_is_not_blamed_on_the_agent(host: Host, message: str) -> None:
    task = await host.done(message)
    assert "nodejs-is-not-here" in task["error"]
    assert "not in the sandbox" in task["error"]
    assert "model" not in task["error"]


async def test_a_default_agent_with_a_model_takes_words(with_model: Asked, model: Serve) -> None:
    with model(steps(Say("done"))) as scripted:
        async with with_model(scripted) as host:
            task = await host.done("Summarise the report")
            assert (task["agentId"], task["status"]) == ("llm", "completed")
            assert (await host.done("$ echo hi", agentId="shell"))["output"]["content"] == "hi\n"
            assert (await host.call("list_agents"))["default"] == "llm"
            error = await host.fail("create_task", message="Summarise it", agentId="shell")
            assert "agentId 'llm'" in error["message"]


async def test_an_agent_that_is_not_ready_is_warned_of_and_may_be_so_when_the_task_begins(own_home: Path) -> None:
    program = own_home.parent / "guest"
    (own_home.parent / "remit.toml").write_text(f'[agents.guest]\ncommand = ["{program}"]\n')
    async with servers.host(own_home) as host:
        created = await host.call("create_task", message="Summarise the report", agentId="guest")
        (warning,) = created["warnings"]
        assert warning.startswith("agentId: 'guest' is not ready, and a task of it fails: ")
        assert f"{program} is not installed" in warning
        await host.until(created["id"], "failed")
        sent = await host.call("send_message", id=created["id"], message="Once more")
        assert sent["warnings"] == [warning]
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        assert (await host.call("create_task", message="Again", agentId="guest"))["warnings"] == []


EXAMPLES: list[dict[str, Any]] = [
    {
        "message": "Generate the monthly report",
        "systemPrompt": "You write reports.",
        "showInHistory": True,
        "autoExecute": False,
        "env": {"TENANT_ID": "acme", "REPORT_FORMAT": "pdf"},
        "secrets": {"DATABASE_URL": "postgres://user:pass@db/acme"},
    },
    {
        "title": "Process document and create summary",
        "description": "Extract text from PDF, analyze content",
        "message": "Extract text from PDF, analyze content",
        "taskListId": "world-1",
        "assignedAgentId": "agent-code-reviewer",
    },
    {"message": "What is xpander.ai?", "title": "What is xpander.ai?"},
]
"""Requests as the pages of the three APIs have them, in words and without an agent."""


@pytest.mark.parametrize("asked", EXAMPLES)
async def test_with_a_default_agent_that_has_a_model_the_requests_of_the_pages_are_worked_on(
    with_model: Asked, model: Serve, asked: dict[str, Any]
) -> None:
    with model(steps(Say("Here it is."))) as scripted:
        async with with_model(scripted) as host:
            task = await host.done(**asked)
    assert (task["status"], task["result"], task["message"]) == ("completed", "Here it is.", asked["message"])
    shown = {name: value for name, value in asked.items() if name != "secrets"}
    assert {name: task[name] for name in shown} == shown


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nobody", "there is no agent 'nobody'"),
        ("none", "there is no agent 'none'"),
        ("llm", "which is not ready: name a model in the settings"),
    ],
)
async def test_a_default_agent_that_no_task_could_have_keeps_the_server_from_starting(
    own_home: Path, name: str, reason: str
) -> None:
    done = servers.command(own_home, "list", REMIT_DEFAULT_AGENT=name)
    assert done.returncode == 1
    assert "default_agent" in done.stderr
    assert reason in done.stderr


async def test_the_schema_tells_no_default_agent(host: Host) -> None:
    (tool,) = [tool for tool in (await host.client.list_tools()).tools if tool.name == "create_task"]
    assert "default" not in tool.input_schema["properties"]["agentId"]
