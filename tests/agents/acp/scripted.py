"""An agent that speaks the Agent Client Protocol by a script: `python scripted.py BEHAVIOUR`.

What it was told it writes to `heard.jsonl` in its folder, so that a test can look at it.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]

SESSION = "session-1"
OPTIONS = [
    {"optionId": "A", "name": "Always", "kind": "allow_always"},
    {"optionId": "N", "name": "Never", "kind": "reject_always"},
    {"optionId": "n", "name": "No", "kind": "reject_once"},
    {"optionId": "a", "name": "Yes", "kind": "allow_once"},
]
BEHAVIOURS: dict[str, Callable[[], None]] = {}


def behaviour(function: Callable[[], None]) -> Callable[[], None]:
    """Something this agent can do, by its name."""
    BEHAVIOURS[function.__name__] = function
    return function


# How it speaks.


def write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def send(**message: Any) -> None:
    write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def receive() -> Json:
    """The next message; the end of the input ends the agent."""
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    with open("heard.jsonl", "a") as heard:
        heard.write(line)
    message: Json = json.loads(line)
    return message


def until(method: str) -> Json:
    """The next request or notification of a kind."""
    while (message := receive()).get("method") != method:
        pass
    return message


def answer(request: Json, **result: Any) -> None:
    send(id=request["id"], result=result)


def opened(capabilities: Json | None = None, **session: Any) -> Json:
    """Come as far as the first prompt, which is returned."""
    answer(until("initialize"), protocolVersion=1, agentCapabilities=capabilities or {})
    request = receive()
    answer(request, sessionId=SESSION, **session)
    return until("session/prompt")


def update(what: str, /, **fields: Any) -> None:
    send(method="session/update", params={"sessionId": SESSION, "update": {"sessionUpdate": what, **fields}})


def say(text: str, **fields: Any) -> None:
    update("agent_message_chunk", content={"type": "text", "text": text}, **fields)


def think(text: str) -> None:
    update("agent_thought_chunk", content={"type": "text", "text": text})


def call(call_id: str, **fields: Any) -> None:
    update("tool_call", toolCallId=call_id, **{"title": "bash", "kind": "execute", "status": "pending", **fields})


def called(call_id: str, **fields: Any) -> None:
    update("tool_call_update", toolCallId=call_id, **fields)


def asking(call_id: str, number: Any = 0, session: str = SESSION, options: Any = OPTIONS, **fields: Any) -> bytes:
    """A permission request, as it is written."""
    params = {"sessionId": session, "toolCall": {"toolCallId": call_id, **fields}, "options": options}
    return json.dumps({"id": number, "method": "session/request_permission", "params": params}).encode() + b"\n"


def ask(call_id: str, number: Any = 0, **fields: Any) -> None:
    """Ask for permission, without waiting for the answer."""
    write(asking(call_id, number, **fields))


def chosen() -> str:
    """The option of the next answer, or why there is none."""
    message = receive()
    if "error" in message:
        return f"error {message['error']['code']}"
    outcome = message["result"]["outcome"]
    return str(outcome.get("optionId", outcome["outcome"]))


def permitted(call_id: str, command: str = "make") -> bool:
    """Ask for permission to run a command, as OpenCode does."""
    call(call_id, rawInput={"cwd": "/"})
    called(call_id, status="in_progress", title=command, rawInput={"command": command, "cwd": "/"})
    ask(call_id, title=command, kind="execute", rawInput={"command": command})
    return chosen() == "a"


def run(call_id: str, command: str = "make") -> bool:
    """Run a command if it is permitted: that is, write that it was run."""
    if not permitted(call_id, command):
        called(call_id, status="failed", rawOutput={"error": "it was refused"})
        return False
    with open("ran.txt", "a") as file:
        file.write(f"{command}\n")
    called(call_id, status="completed", rawOutput={"output": f"{command} is done"})
    return True


def done(prompt: Json, reason: str = "end_turn", **fields: Any) -> None:
    """End the turn, and wait to be ended."""
    answer(prompt, stopReason=reason, **fields)
    wait()


def wait() -> None:
    while True:
        receive()


# What it does: the ordinary.


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
    """As OpenCode does for a command that leaves the workspace."""
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
    """As OpenCode does: not a word, and the turn is over."""
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


# Sessions that last.

LASTS: Json = {"loadSession": True, "sessionCapabilities": {"close": {}}}


def taken_up() -> tuple[str, Json]:
    """How the session was opened, and the first prompt."""
    answer(until("initialize"), protocolVersion=1, agentCapabilities=LASTS)
    request = receive()
    if request["method"] == "session/load":
        call("old", rawInput={"command": "replayed"})
        say("replayed")
        ask("old", "old", rawInput={"command": "replayed"})
        assert chosen() == "cancelled"
    answer(request, sessionId=SESSION)
    return request["method"], until("session/prompt")


def parted(prompt: Json) -> None:
    answer(prompt, stopReason="end_turn")
    answer(until("session/close"))
    wait()


@behaviour
def lasts() -> None:
    method, prompt = taken_up()
    say(f"{method}: {prompt['params']['prompt'][0]['text']}")
    parted(prompt)


@behaviour
def asks_as_before() -> None:
    """Run one command, however the session was opened."""
    _, prompt = taken_up()
    run("make")
    say("done")
    parted(prompt)


@behaviour
def uses_its_secret() -> None:
    """Ask for a call with the secret KEY in it, as the prompt says, however the session was opened."""
    _, prompt = taken_up()
    key = os.environ["KEY"]
    text = prompt["params"]["prompt"][0]["text"]
    ways: Json = {
        "token": {"token": key},
        "line": {"text": key.split("\n")[-1]},
        "inner": {"params": [{"Command": f"curl {key}"}]},
        "command": {"command": f"curl {key}"},
        "list": {"program": "sh", "args": ["-c", key]},
        "input": key,
    }
    args = next(ways[way] for way in ways if way in text)
    call("1", kind="fetch", rawInput=args)
    ask("1", rawInput=args)
    answered = chosen()
    called("1", status="completed" if answered == "a" else "failed", rawOutput={"output": answered})
    say(answered)
    parted(prompt)


@behaviour
def forgets() -> None:
    """Say that sessions last, and know none."""
    answer(until("initialize"), protocolVersion=1, agentCapabilities=LASTS)
    request = receive()
    if request["method"] == "session/load":
        send(id=request["id"], error={"code": -32602, "message": "no such session"})
        request = receive()
    answer(request, sessionId=SESSION)
    prompt = until("session/prompt")
    say(prompt["params"]["prompt"][0]["text"])
    parted(prompt)


# What it should not do.


@behaviour
def says_nothing() -> None:
    wait()


@behaviour
def ends_at_once() -> None:
    sys.stderr.write("cannot find my settings\n")
    sys.exit(3)


@behaviour
def dies_at_work() -> None:
    opened()
    call("1", rawInput={"command": "make"})
    ask("1", rawInput={"command": "make"})
    chosen()
    sys.stderr.write("out of luck\n")
    sys.stderr.flush()
    os.abort()


@behaviour
def cannot_listen() -> None:
    """As OpenCode, where it may not."""
    sys.stderr.write("ServeError: Failed to start server\n")
    sys.exit(1)


@behaviour
def tells_a_secret() -> None:
    sys.stderr.write(f"the token is {os.environ['TOKEN']}\n")
    sys.exit(1)


@behaviour
def speaks_another_version() -> None:
    answer(until("initialize"), protocolVersion=2)
    wait()


@behaviour
def gives_no_session() -> None:
    answer(until("initialize"), protocolVersion=1)
    answer(until("session/new"))
    wait()


@behaviour
def answers_nonsense() -> None:
    answer(until("initialize"), protocolVersion="one", agentCapabilities=7)
    wait()


@behaviour
def refuses_to_work() -> None:
    prompt = opened()
    send(id=prompt["id"], error={"code": -32603, "message": "Internal error", "data": {"cause": "no model"}})
    wait()


def nonsense() -> Iterator[bytes]:
    yield b"Welcome to the agent!"
    yield b"{"
    yield b"[" * 200_000
    yield b'{"a":' * 100 + b"1" + b"}" * 100
    yield b"\xff\xfe"
    yield b'{"jsonrpc":"2.0","method":"session/update","params":{"n":NaN}}'
    yield b"[]"
    yield b"null"
    yield b"{}"
    yield b'{"id":77,"result":{}}'
    yield b'{"id":{},"method":"session/request_permission"}'
    yield b'{"method":"session/update","params":{"sessionId":"session-1","update":null}}'
    yield b'{"method":"session/update","params":{"sessionId":"session-1","update":{"sessionUpdate":"tool_call"}}}'
    yield b'{"method":"session/update","params":{"sessionId":"other","update":{"sessionUpdate":"plan"}}}'
    yield b""


@behaviour
def speaks_nonsense_too() -> None:
    prompt = opened()
    for line in nonsense():
        write(line + b"\n")
    say("made it")
    done(prompt)


@behaviour
def speaks_nonsense_only() -> None:
    for _ in range(200):
        write(b"Loading...\n")
    wait()


@behaviour
def speaks_half_characters() -> None:
    prompt = opened()
    say("\ud800 and \U0001f600")
    done(prompt)


@behaviour
def sends_a_huge_line() -> None:
    opened()
    write(b'{"x":"')
    while True:
        write(b"x" * 65536)


@behaviour
def speaks_long_nonsense() -> None:
    prompt = opened()
    for _ in range(20):
        write(("\U0001f600" + "x" * 3 * 1024**2).encode() + b"\n")
    say("made it")
    done(prompt)


@behaviour
def tells_many_faults() -> None:
    prompt = opened()
    call("1", content=[0] * 90_000, rawInput={})
    say("made it")
    done(prompt)


@behaviour
def has_calls_of_small_things() -> None:
    opened()
    for number in range(60):
        call(str(number), rawInput={"all": [[]] * 45_000})
    wait()


@behaviour
def asks_with_much_besides() -> None:
    prompt = opened()
    for number in range(30):
        ask("1", number, rawInput={"command": "make"}, content=[{"type": "x", "path": "x" * 3 * 1024**2}])
    say(chosen())
    done(prompt)


@behaviour
def asks_under_a_long_name() -> None:
    prompt = opened()
    ask("1", "x" * 1000, rawInput={"command": "make"})
    say("made it")
    done(prompt)


@behaviour
def floods() -> None:
    opened()
    line = json.dumps({"method": "session/update", "params": {"sessionId": SESSION, "update": {"sessionUpdate": "x"}}})
    while True:
        write((line + "\n").encode() * 500)


@behaviour
def floods_with_calls() -> None:
    opened()
    number = 0
    while True:
        number += 1
        call(str(number), rawInput={"command": "make"})


@behaviour
def floods_with_questions() -> None:
    opened()
    number = 0
    while True:
        number += 1
        ask("1", number, rawInput={"command": "make"})


@behaviour
def floods_stderr() -> None:
    prompt = opened()
    os.write(2, b"warning\n" * 100_000)
    say("made it")
    done(prompt)


@behaviour
def asks_in_another_session() -> None:
    prompt = opened()
    ask("1", session="session-2", rawInput={"command": "make"})
    say(chosen())
    done(prompt)


@behaviour
def asks_after_the_end() -> None:
    prompt = opened()
    call("1", rawInput={"command": "make"}, status="completed")
    ask("1", rawInput={"command": "make"})
    say(chosen())
    done(prompt)


@behaviour
def uses_an_id_twice() -> None:
    prompt = opened()
    write(asking("1", 7, rawInput={"command": "one"}) + asking("2", 7, rawInput={"command": "two"}))
    say(chosen())
    done(prompt)


@behaviour
def uses_a_call_id_again() -> None:
    prompt = opened()
    for command in ("one", "two"):
        call("1", rawInput={"command": command})
        called("1", status="completed", rawOutput=command)
        called("1", rawOutput="too late")
    done(prompt)


@behaviour
def does_not_wait() -> None:
    opened()
    call("1", rawInput={"command": "make"})
    ask("1", rawInput={"command": "make"})
    called("1", status="completed", rawOutput="made")
    wait()


@behaviour
def gives_a_question_up() -> None:
    prompt = opened()
    call("1", rawInput={"command": "make"})
    ask("1", rawInput={"command": "make"})
    with open("asked", "w"):
        pass
    while not os.path.exists("go on"):
        os.sched_yield()
    called("1", status="failed")
    say("never mind")
    done(prompt)


@behaviour
def ends_while_asking() -> None:
    prompt = opened()
    ask("1", rawInput={"command": "make"})
    done(prompt)


@behaviour
def does_another_thing() -> None:
    opened()
    call("1", rawInput={"command": "make"})
    ask("1", rawInput={"command": "make"})
    chosen()
    called("1", status="in_progress", rawInput={"command": "make mischief"})
    wait()


@behaviour
def speaks_after_the_end() -> None:
    prompt = opened()
    say("before")
    answer(prompt, stopReason="end_turn")
    say("after")
    ask("1", rawInput={"command": "make"})
    wait()


@behaviour
def leaves_a_call_open() -> None:
    prompt = opened()
    run("1", "one")
    permitted("2", "two")
    done(prompt)


@behaviour
def sends_huge_arguments() -> None:
    opened()
    ask("1", rawInput={"command": "x" * 2_000_000})
    wait()


@behaviour
def names_a_call_after_a_secret() -> None:
    prompt = opened()
    token = os.environ["TOKEN"]
    call(f"{token}-1", name=token, title="make", kind="execute", rawInput={"command": "make"})
    ask(f"{token}-1")
    chosen()
    called(f"{token}-1", status="completed")
    done(prompt)


@behaviour
def has_its_secret_cut() -> None:
    """Say it where what is said is too long to be kept whole: in a line that is no JSON, a thought or an output."""
    prompt = opened()
    token = os.environ["TOKEN"]
    match prompt["params"]["prompt"][0]["text"]:
        case "a line":
            write(f"{' ' * 190}{token}\n".encode())
            sys.exit(1)
        case "a thought":
            think(f"{' ' * 7990}{token}")
            think(" it was")
        case "an output":
            call("1", rawInput={"command": "make"}, status="completed", rawOutput=f"{' ' * (1024**2 - 10)}{token}")
    done(prompt)


if __name__ == "__main__":
    BEHAVIOURS[sys.argv[1]]()
