"""Misbehaviour of the scripted agent: no messages, invalid ones, too many, or an early end."""

import json
import os
import sys
from collections.abc import Iterator

from .behaviours import behaviour
from .speech import SESSION, answer, ask, call, chosen, done, opened, say, send, until, wait, write


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
    """Fail to listen on a port, as OpenCode does where that is not allowed."""
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
