"""The commands of one message as one session: each begins where the one before has left off."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from server.agents.interface import CommandResult, Proposal, RunCommand, Turn
from server.agents.shell import shell_state as carrying
from server.agents.shell import state_record as records
from server.agents.shell.message import PROMPT, ShellCommand
from server.agents.shell.shell_state import ShellState
from server.errors import Code, RemitError
from server.runner.filesystem.memory_file import blank, holding
from server.runner.policy import ATTACHED
from server.threads import stepped

TAIL = 2000
"""Characters of a failed command's output that its error repeats."""

HEADLINE = 100
"""Characters of a command that its description and its error repeat."""

MOST_LEFT = 5
"""The most things left behind that the error of a later command names."""

_NOT_FOUND = 127


class ShellSession:
    """Runs commands of a turn. What they leave for each other is remembered with the turn, for a later run of it."""

    def __init__(self, turn: Turn, commands: Sequence[ShellCommand], remembered: Mapping[str, Any] | None) -> None:
        self._turn = turn
        self._commands = commands
        self._start = os.path.realpath(turn.workspace)
        self._state = ShellState.of(remembered["carried"]) if remembered else ShellState()
        self._known_after = int(remembered["after"]) if remembered else 0
        """The number of the command that has left this; commands are counted from 1."""

        self._left: list[str] = list(remembered["left"]) if remembered else []
        self._unknown: str | None = remembered["unknown"] if remembered else None
        """Why it is not known what that command has left."""

    async def prepare(self, number: int) -> None:
        """Add the state left by earlier commands to a waiting call, so that the person who decides about it sees it.

        Raises RemitError (EXECUTION_ERROR) where it would run without what they have left.
        """
        known = self._turn.calls()[str(number)]
        if known.status != "pending":
            return
        command = self._commands[number - 1]
        self._check(number, command)
        given = proposal(number, command, self._state.args)
        if not await self._turn.is_same(given.key, given.args):
            await self._turn.amend(given)

    async def run(self, number: int, command: ShellCommand) -> None:
        """Run a command that may proceed. Raises RemitError where it fails."""
        is_last = number == len(self._commands)
        env = {name: value for name, value in self._state.variables.items() if value is not None}
        with self._attachment(command, recorded=not is_last) as (argv, attached):
            finished = await self._turn.run(str(number), RunCommand(argv=argv, env=env, attached=attached))
            _check_end(self._turn.message, command.text, finished, self._left)
            if not is_last:
                await self._keep(number, command, attached)

    @contextmanager
    def _attachment(self, command: ShellCommand, *, recorded: bool) -> Iterator[tuple[tuple[str, ...], int | None]]:
        """Yield the command line, and the file descriptor that goes with it."""
        if interpreter := command.interpreter:
            with holding(command.text.encode()) as script:
                run = " ".join((*map(_quoted, interpreter), f"/proc/self/fd/{ATTACHED}"))
                yield carrying.argv(f"exec {run}", self._state, recorded=False), script
        elif recorded:
            with blank(records.RECORD_BYTES) as record:
                yield carrying.argv(command.text, self._state, recorded=True), record
        else:
            yield carrying.argv(command.text, self._state, recorded=False), None

    async def _keep(self, number: int, command: ShellCommand, record: int | None) -> None:
        """Remember the state that a command has left; a script with an interpreter of its own leaves none."""
        if command.interpreter is None and record is not None:
            found = records.read(os.pread(record, records.RECORD_BYTES, 0))
            if found is None:
                self._unknown = "it replaced its shell (exec), ended by a trap of its own, or left too much"
            elif found.folder is None:
                self._unknown = "the folder it left is not there any more"
            elif await stepped(len(found.folder), self._turn.secret_in(found.folder)) is not None:
                self._unknown = "the path of the folder it left contains a secret"
            else:
                wanted = {name for later in self._commands[number:] for name in later.reads}
                after = carrying.after(self._state, found, self._start, self._turn.secret_in, wanted)
                self._state, dropped = await stepped(carrying.MOST, after)
                variables = [f"the variable {records.shown_name(name)}, since {dropped[name]}" for name in dropped]
                await self._warn(number, command, [*found.left, *variables[:MOST_LEFT]])
        self._known_after = number
        await self._turn.remember(
            {"after": number, "carried": self._state.shown(), "unknown": self._unknown, "left": self._left}
        )

    async def _warn(self, number: int, command: ShellCommand, left: Sequence[str]) -> None:
        for what in left:
            self._left = [*self._left, f"{what} of `{headline(command.text)}`"][-MOST_LEFT:]
            await self._turn.warn(f"not carried on to the next command: {what}", str(number))

    def _check(self, number: int, command: ShellCommand) -> None:
        if number > 1 and (self._unknown or self._known_after != number - 1):
            before = headline(self._commands[number - 2].text)
            why = self._unknown or "the server has ended since"
            raise RemitError(
                Code.EXECUTION_ERROR,
                f"`{headline(command.text)}` was not run: the folder and the variables that `{before}` has left are "
                f"not known, since {why}. Put both into one command",
            )
        if lost := sorted(command.reads & self._state.lost.keys()):
            raise RemitError(
                Code.EXECUTION_ERROR,
                f"`{headline(command.text)}` was not run: the variable {lost[0]} that it uses is not carried on from "
                f"the command that set it, since {self._state.lost[lost[0]]}; or put both into one command",
            )


def proposal(number: int, command: ShellCommand, given: Mapping[str, Any]) -> Proposal:
    """Return a command of a message as a call, with the state that earlier commands give to it."""
    return Proposal(
        key=str(number),
        tool_name="shell",
        args={"command": command.text, **given},
        description=f"Run: {headline(command.text)}{_with(given)}",
        is_message=True,
        is_command=True,
    )


def headline(command: str) -> str:
    """Return the beginning of a command, on one line."""
    first, more, _ = command.partition("\n")
    return first[:HEADLINE] + (" …" if more or len(first) > HEADLINE else "")


def _with(given: Mapping[str, Any]) -> str:
    said = [f"in {given['folder']}"] if "folder" in given else []
    if names := sorted({*given.get("variables", ())} - {carrying.PREVIOUS}):
        said.append(f"with {', '.join(names)} as the commands before have set them")
    return f" ({'; '.join(said)})" if said else ""


def _check_end(message: str, command: str, finished: CommandResult, left: Sequence[str]) -> None:
    """Raise RemitError if a command failed, or was ended by a limit."""
    if finished.limit:
        raise RemitError(Code.LIMIT_EXCEEDED, f"`{headline(command)}` was ended: {finished.limit}")
    if finished.status:
        hint = _not_found(message, command, finished.output) if finished.status == _NOT_FOUND else ""
        hint += f" (not carried on from earlier commands: {', '.join(left)})" if left else ""
        tail = finished.output[-TAIL:].strip()
        last = f"; last lines:\n{tail}" if tail else ""
        raise RemitError(
            Code.EXECUTION_ERROR,
            f"`{headline(command)}` exited with status {finished.status}{hint}{last}",
            exitStatus=finished.status,
        )


def _not_found(message: str, command: str, output: str) -> str:
    """Explain exit status 127: a program that is not there, or a message in words after a prompt."""
    hint = ": a program that it runs is not in the sandbox, which has the system's folders and the task's own"
    first = re.escape(command.split(maxsplit=1)[0])
    missing = re.compile(rf": {first}: (?:command not found|not found|No such file or directory)$", re.MULTILINE)
    if message.strip("\r\n") != f"{PROMPT}{command}" or "\n" in command or not missing.search(output):
        return hint
    return f"{hint}. The shell agent runs commands alone; for a job in words, choose an agent with a model"


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
