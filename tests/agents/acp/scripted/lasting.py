"""Sessions that last: they are loaded by a later run."""

import os

from .behaviours import behaviour
from .speech import SESSION, Json, answer, ask, call, called, chosen, receive, run, say, send, until, wait

LASTS: Json = {"loadSession": True, "sessionCapabilities": {"close": {}}}


def taken_up() -> tuple[str, Json]:
    """Return how the session was opened, and the first prompt."""
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
