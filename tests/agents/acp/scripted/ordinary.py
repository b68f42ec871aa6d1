"""The ordinary: it speaks, asks, calls and ends."""

import os

from .behaviours import behaviour
from .speech import (
    OPTIONS,
    SESSION,
    answer,
    ask,
    call,
    called,
    chosen,
    done,
    opened,
    receive,
    run,
    say,
    send,
    think,
    until,
    update,
    wait,
)


@behaviour
def speaks() -> None:
    prompt = opened()
    think("let ")
    think("me see")
    say("Hello", messageId="1")
    say("", messageId="1")
    say(" there.", messageId="1")
    say("And now?", messageId="2")
    update("plan", entries=[{"content": "look", "status": "completed"}, {"content": "act", "status": "in_progress"}])
    update("usage_update", used=10, size=100)
    update("current_mode_update", currentModeId="other")
    update("something_new", anything=[1, 2])
    update("agent_message_chunk", content={"type": "resource_link", "uri": "file:///x", "name": "x"}, messageId="2")
    done(prompt, usage={"inputTokens": 100, "outputTokens": 20, "cachedReadTokens": 5, "totalTokens": 125})


@behaviour
def echoes() -> None:
    """Say the prompt, whichever it is."""
    prompt = opened()
    say(prompt["params"]["prompt"][0]["text"])
    done(prompt)


@behaviour
def runs() -> None:
    prompt = opened()
    say("done" if run("1") else "refused")
    done(prompt)


@behaviour
def runs_unasked() -> None:
    prompt = opened()
    call("1", rawInput={})
    called("1", status="in_progress", title="make", rawInput={"command": "make"})
    called("1", status="completed", content=[{"type": "content", "content": {"type": "text", "text": "made"}}])
    done(prompt)


@behaviour
def is_long_at_it() -> None:
    opened()
    call("1", status="in_progress", rawInput={"command": "make"})
    wait()


@behaviour
def asks_late() -> None:
    prompt = opened()
    call("1", status="in_progress", rawInput={"command": "make"})
    while not os.path.exists("go on"):
        os.sched_yield()
    ask("1", rawInput={"command": "make"})
    say(chosen())
    called("1", status="completed", rawOutput="made")
    done(prompt)


@behaviour
def tells_arguments_late() -> None:
    prompt = opened()
    call("1", title="notes_erase", kind="other", rawInput={})
    ask("1", title="notes_erase", kind="other", rawInput={})
    called("1", status="in_progress", rawInput={"text": "all"})
    say(chosen())
    called("1", status="completed", rawOutput="erased")
    done(prompt)


@behaviour
def tells_no_arguments() -> None:
    prompt = opened()
    ask("run_shell_command__1", title="ls -la", kind="execute", locations=[{"path": "/w"}])
    say(chosen())
    called("run_shell_command__1", status="completed")
    done(prompt)


@behaviour
def edits() -> None:
    prompt = opened()
    diff = {"type": "diff", "path": "a.txt", "oldText": "one\n", "newText": "two\n"}
    meta = {"claudeCode": {"toolName": "Edit"}}
    call("1", title="Edit a.txt", kind="edit", rawInput={"path": "a.txt"}, content=[diff], _meta=meta)
    ask("1")
    say(chosen())
    called("1", status="completed")
    done(prompt)


@behaviour
def asks_twice_at_once() -> None:
    prompt = opened()
    for number, command in enumerate(("one", "two")):
        call(command, rawInput={"command": command})
        ask(command, number, rawInput={"command": command})
    answers = {}
    for _ in range(2):
        message = receive()
        answers[message["id"]] = message["result"]["outcome"].get("optionId")
    say(f"{answers[0]} {answers[1]}")
    done(prompt)


@behaviour
def asks_for_another_thing_too() -> None:
    """Ask for another thing too, as OpenCode does for a command that leaves the workspace."""
    prompt = opened()
    call("1", rawInput={"command": "make"})
    ask("1", title="external_directory", rawInput={"folder": "/x"})
    first = chosen()
    ask("1", rawInput={"command": "make"})
    say(f"{first} {chosen()}")
    called("1", status="completed", rawOutput="made")
    done(prompt)


@behaviour
def asks_again() -> None:
    prompt = opened()
    call("1", rawInput={"command": "make"})
    ask("1", rawInput={"command": "make"})
    first = chosen()
    ask("1", 1, rawInput={"command": "make"})
    say(f"{first} {chosen()}")
    done(prompt)


@behaviour
def has_no_such_options() -> None:
    prompt = opened()
    ask("1", options=OPTIONS[:2], rawInput={"command": "make"})
    say(chosen())
    done(prompt)


@behaviour
def stops_when_refused() -> None:
    """End the turn without a word, as OpenCode does."""
    prompt = opened()
    run("1")
    answer(prompt, stopReason="end_turn")
    prompt = until("session/prompt")
    say(prompt["params"]["prompt"][0]["text"])
    done(prompt)


@behaviour
def asks_what_is_not_there() -> None:
    prompt = opened()
    send(id="x", method="fs/read_text_file", params={"path": "/etc/passwd"})
    say(f"{receive()['error']['code']}")
    done(prompt)


@behaviour
def is_cancelled() -> None:
    prompt = opened()
    call("1", rawInput={"command": "make"})
    ask("1", rawInput={"command": "make"})
    answers = []
    for _ in range(2):
        message = receive()
        answers.append(message.get("method") or message["result"]["outcome"]["outcome"])
    with open("cancelled.txt", "w") as file:
        file.write(" ".join(answers))
    done(prompt, "cancelled")


@behaviour
def heeds_no_cancel() -> None:
    opened()
    say("at it.")
    wait()


@behaviour
def uses_no_http() -> None:
    opened()
    wait()


@behaviour
def uses_http() -> None:
    done(opened({"mcpCapabilities": {"http": True}}))


@behaviour
def has_modes() -> None:
    modes = {"currentModeId": "auto", "availableModes": [{"id": "auto"}, {"id": "default"}]}
    answer(until("initialize"), protocolVersion=1)
    answer(until("session/new"), sessionId=SESSION, modes=modes)
    request = receive()
    say("too early to be heard")
    mode = request["params"].get("modeId", request["method"])
    if mode == "default":
        answer(request)
        request = until("session/prompt")
    say(mode)
    done(request)


@behaviour
def has_to_sign_in() -> None:
    answer(until("initialize"), protocolVersion=1, authMethods=[{"id": "key", "name": "Key"}])
    request = receive()
    if request["method"] == "authenticate":
        answer(request)
        signed_in = request["params"]["methodId"]
        answer(until("session/new"), sessionId=SESSION)
        prompt = until("session/prompt")
        say(signed_in)
        done(prompt)
    send(id=request["id"], error={"code": -32000, "message": "Authentication required"})
    wait()


@behaviour
def gives_reason() -> None:
    """End the turn for the reason that the prompt names."""
    prompt = opened()
    done(prompt, prompt["params"]["prompt"][0]["text"])
