"""Calls and questions as they should not be: out of turn, used again, too large, or with a secret in them."""

import os
import sys

from .behaviours import behaviour
from .speech import answer, ask, asking, call, called, chosen, done, opened, permitted, run, say, think, wait, write


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
    say("asked ")
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
