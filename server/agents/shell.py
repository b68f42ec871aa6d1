"""The shell agent: the message is a script, each of its commands is one call. No model, no key."""

import re
from collections.abc import Iterator

from server.agents.interface import Permission, Proposal, Readiness, Stopped, Turn
from server.errors import Code, RemitError
from server.runner.policy import LONGEST_STRING

MAX_COMMANDS = 200
"""Commands in one message; more is a program, and belongs in a file."""

TAIL = 2000
"""Characters of a failed command's output that its error repeats."""

_FENCE = re.compile(r"^```(?:sh|bash|shell)[ \t]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
_PROMPT = "$ "
_CONTINUATION = "> "

_NOT_FOUND = 127
_NO_MODEL = (
    "the shell agent runs commands and understands nothing else: write them as lines that start with '$ '; "
    "for a task in words, choose an agent with a model (list_agents)"
)


class ShellAgent:
    """Runs the commands of the message one after the other; they share nothing but the workspace."""

    id = "shell"
    description = (
        "Runs commands, no model: lines that start with '$ ' are its commands and the rest is prose; or else "
        "fenced sh blocks; or else the whole message is one script for sh. Stops at the first that fails."
    )

    speaks = False

    async def readiness(self) -> Readiness:
        """It is there wherever the server is."""
        return Readiness()

    def check(self, message: str) -> None:
        """Refuse a message with no, too many or too long commands."""
        found = commands(message)
        if not found:
            raise RemitError(Code.VALIDATION_ERROR, f"message holds no command: {_NO_MODEL}", field="message")
        if len(found) > MAX_COMMANDS:
            raise RemitError(
                Code.LIMIT_EXCEEDED,
                f"message holds {len(found)} commands, at most {MAX_COMMANDS} are allowed; put them in a file",
                field="message",
            )
        if any(len(command.encode()) > LONGEST_STRING for command in found):
            raise RemitError(
                Code.LIMIT_EXCEEDED,
                f"a command in message is longer than {LONGEST_STRING} bytes; put it in a file",
                field="message",
            )

    async def work(self, turn: Turn) -> None:
        """Run the commands in order until one is refused or fails."""
        proposals = [_proposal(number, command) for number, command in enumerate(commands(turn.message), start=1)]
        await turn.propose(proposals)
        for proposal in proposals:
            permission = await turn.call(proposal.key)
            if permission is Permission.REFUSED:
                raise Stopped
            if permission is Permission.PROCEED:
                await _run(turn, proposal)


def commands(message: str) -> list[str]:
    """The commands in a message, in order."""
    lines = message.splitlines()
    if any(line.startswith(_PROMPT) for line in lines):
        return [command for command in _prompted(lines) if command]
    fenced = [block.strip() for block in _FENCE.findall(message)]
    return [command for command in fenced or [message.strip()] if command]


def _prompted(lines: list[str]) -> Iterator[str]:
    """Commands after a `$ ` prompt; a final backslash, or `> ` on the next line, carries one on."""
    command: list[str] = []
    for line in lines:
        if command and (command[-1].endswith("\\") or line.startswith(_CONTINUATION)):
            command.append(line.removeprefix(_CONTINUATION))
            continue
        if command:
            yield "\n".join(command).strip()
        command = [line.removeprefix(_PROMPT)] if line.startswith(_PROMPT) else []
    if command:
        yield "\n".join(command).strip()


def _proposal(number: int, command: str) -> Proposal:
    return Proposal(
        key=str(number), tool_name="shell", args={"command": command}, description=f"Run: {_headline(command)}"
    )


def _headline(command: str) -> str:
    first, *more = command.splitlines()
    return first[:100] + (" …" if more or len(first) > 100 else "")


async def _run(turn: Turn, proposal: Proposal) -> None:
    command = proposal.args["command"]
    finished = await turn.run(proposal.key, ("/bin/sh", "-c", command))
    if finished.limit:
        raise RemitError(Code.LIMIT_EXCEEDED, f"`{_headline(command)}` was ended: {finished.limit}")
    if finished.status:
        hint = f" — {_NO_MODEL}" if finished.status == _NOT_FOUND else ""
        tail = finished.output[-TAIL:].strip()
        last = f"; last lines:\n{tail}" if tail else ""
        raise RemitError(
            Code.EXECUTION_ERROR,
            f"`{_headline(command)}` exited with status {finished.status}{hint}{last}",
            exitStatus=finished.status,
        )
