"""The scripted agent's protocol: lines of JSON-RPC, and their parts."""

import json
import os
import sys
from typing import Any

Json = dict[str, Any]

SESSION = "session-1"
OPTIONS = [
    {"optionId": "A", "name": "Always", "kind": "allow_always"},
    {"optionId": "N", "name": "Never", "kind": "reject_always"},
    {"optionId": "n", "name": "No", "kind": "reject_once"},
    {"optionId": "a", "name": "Yes", "kind": "allow_once"},
]


def write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def send(**message: Any) -> None:
    write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def receive() -> Json:
    """Return the next message; the end of the input ends the agent."""
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    with open("heard.jsonl", "a") as heard:
        heard.write(line)
    message: Json = json.loads(line)
    return message


def until(method: str) -> Json:
    """Return the next request or notification of a kind."""
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
    """Return a permission request, as it is written."""
    params = {"sessionId": session, "toolCall": {"toolCallId": call_id, **fields}, "options": options}
    return json.dumps({"id": number, "method": "session/request_permission", "params": params}).encode() + b"\n"


def ask(call_id: str, number: Any = 0, **fields: Any) -> None:
    """Ask for permission, without waiting for the answer."""
    write(asking(call_id, number, **fields))


def chosen() -> str:
    """Return the option of the next answer, or why there is none."""
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
