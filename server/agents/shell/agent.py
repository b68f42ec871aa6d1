"""The shell agent: runs the commands of a message one after the other."""

from collections.abc import Collection, Sequence

from server.agents.endings import NeedsModel, Stopped
from server.agents.interface import Permission, Readiness, Turn
from server.agents.shell import message as messages
from server.agents.shell.message import ParsedMessage, ShellCommand
from server.agents.shell.session import ShellSession, proposal
from server.errors import Code, RemitError
from server.runner.policy import LONGEST_STRING
from server.threads import READING, computed

MAX_COMMANDS = 200
"""Commands in one message; more is a program, and belongs in a file."""

HOW = "write each command on a line that starts with '$ ', or several lines in a ```sh block"


class ShellAgent:
    """Runs the commands of the message in order, until one is refused or fails."""

    id = "shell"
    description = (
        "Runs commands, no model: lines that start with '$ ' and ```sh blocks, everything else is prose. Folder and "
        "exported variables carry on to the next command; functions, options and processes do not. Stops at the first "
        "that fails."
    )

    speaks = False

    async def readiness(self, variables: Collection[str] = ()) -> Readiness:
        """Return that it is ready; it needs nothing."""
        return Readiness()

    def check(self, message: str) -> Sequence[str]:
        """Return warnings about lines left out. Refuse a message with no, too many, too long or unfinished commands."""
        found = _read(message)
        if len(found.commands) > MAX_COMMANDS:
            raise RemitError(
                Code.LIMIT_EXCEEDED,
                f"message holds {len(found.commands)} commands, at most {MAX_COMMANDS} are allowed; put them in a file",
                field="message",
            )
        if any(len(command.text.encode()) > LONGEST_STRING for command in found.commands):
            raise RemitError(
                Code.LIMIT_EXCEEDED,
                f"a command in message is longer than {LONGEST_STRING} bytes; put it in a file",
                field="message",
            )
        return found.warnings

    async def work(self, turn: Turn) -> None:
        """Run the commands in order until one is refused or fails.

        Raises NeedsModel for a message in words, which an earlier version accepted.
        """
        commands = (await computed(len(turn.message), _read, turn.message, threads=READING)).commands
        remembered = await turn.recall() if len(commands) > 1 else None
        await _propose(turn, commands, again=remembered is not None)
        session = ShellSession(turn, commands, remembered)
        for number, command in enumerate(commands, start=1):
            if turn.calls()[str(number)].is_cut_off:  # and the task says that it is to be resumed
                await turn.renew(str(number))
            await session.prepare(number)
            permission = await turn.call(str(number))
            if permission is Permission.REFUSED:
                raise _refusal(turn, number)
            if permission is Permission.PROCEED:
                await session.run(number, command)


def _refusal(turn: Turn, number: int) -> Exception:
    known = turn.calls()[str(number)]
    return RemitError(Code.FORBIDDEN, f"command {number} was not run: {known.reason}") if known.is_hidden else Stopped()


def _read(message: str) -> ParsedMessage:
    found = messages.read(message)
    if not found.commands:
        raise NeedsModel(
            f"{messages.shortened(message)} holds no command, and the shell agent runs nothing else: {HOW}"
            f"{found.mistake}"
        )
    return found


async def _propose(turn: Turn, commands: Sequence[ShellCommand], *, again: bool) -> None:
    """Announce the commands; `again`, only those that are not known yet: the others may have been amended since."""
    if again:
        await turn.propose([])
    proposals = [proposal(number, command, {}) for number, command in enumerate(commands, start=1)]
    await turn.propose([each for each in proposals if each.key not in turn.calls()])
