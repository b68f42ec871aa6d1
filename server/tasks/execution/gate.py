"""A run's side of the approval gate: its calls, masked and bound to what a decision counts for.

The store decides in `storage.sqlite.operations.calls.begin`. Which calls an approval for always covers is said in
`server.tasks.approvals.similarity`.
"""

from collections.abc import Iterator, Mapping
from secrets import token_hex
from typing import Any

from server.agents.interface import Proposal, RunCommand
from server.errors import Code, RemitError
from server.tasks import sandbox_policy
from server.tasks.approvals import similarity
from server.tasks.approvals.circumstances import circumstances
from server.tasks.execution.commands import CommandRunner
from server.tasks.execution.context import RunContext
from server.tasks.secrets.masking import own_words, part
from storage.records.calls import KEYED, Call, CallContext, NewCall
from storage.records.masked import MaskedText
from storage.times import now

MAX_DESCRIPTION = 200
"""Characters of a call's description; cut after masking."""

_COMMANDS = frozenset({"argv", "cmd", "code", "command", "commands", "script"})
"""Names of tool arguments that are executed."""

_GIVEN = frozenset({"args", "input"})
"""Names of tool arguments that may be executed if they are a text or a list: what a program is given."""

_USE_ITS_NAME = "write the secret's variable, such as $NAME, in its place"
_LINE = own_words(f"it contains a line of a secret, and whoever decides would not see what it does: {_USE_ITS_NAME}")
_COMMAND = own_words(f"what it executes contains a secret, which is masked for whoever decides: {_USE_ITS_NAME}")
_NOT_KEPT = own_words(f"it contains a secret, which is not kept while somebody decides: {_USE_ITS_NAME}")


class Gate:
    """The calls of one run on their way through the approval gate: each proceeds, or waits for a decision."""

    def __init__(self, context: RunContext, command_runner: CommandRunner) -> None:
        self._record = context.record
        self._claim = context.claim
        self._variables = context.variables
        self._settings = context.settings
        self._command_runner = command_runner
        self._hidden: dict[str, MaskedText | None] = {}

    async def new_call(self, proposal: Proposal) -> NewCall:
        """Return a proposed call as it is recorded: masked, and bound to a digest of the unmasked arguments."""
        masker, parts = self._variables.masker, not proposal.is_message
        args = await masker.args(proposal.args, parts=parts)
        tool_name = await masker.text(proposal.tool_name, parts=parts)
        description = await masker.text(proposal.description)
        is_whole = (tool_name, similarity.canonical(args)) == (proposal.tool_name, similarity.canonical(proposal.args))
        if not is_whole:
            self._hidden[proposal.key] = await self._why_hidden(proposal)
        return NewCall(
            key=await self._key(proposal),
            id=f"call_{token_hex(8)}",
            tool_name=tool_name,
            args=args,
            digest=similarity.digest(args) if is_whole else self._keyed(proposal.args),
            similar=similarity.keys(args, is_command=proposal.is_command) if is_whole else (),
            description=part(description, 0, MAX_DESCRIPTION),
        )

    async def is_same(self, call: Call, args: Mapping[str, Any]) -> bool:
        """Return whether a call has these arguments. If a secret is masked in it, the masked forms are compared."""
        if call.digest.startswith(KEYED):
            shown = await self._variables.masker.json(args)
            return similarity.canonical(shown) == similarity.canonical(call.args)
        return call.digest == similarity.digest(args)

    async def begin(self, call: Call, *, asked: bool = True, reads: bool = False, stays: bool = False) -> Call:
        """Let a call proceed if it may, else make it wait for a decision.

        `asked`: the agent asked before the call. `reads`: the call only reads. `stays`: the run waits with its process,
        so that it still has the unmasked arguments when the decision comes. Raises SecretsLost.
        """
        await self._variables.unlock()
        expires = sandbox_policy.approval_expires(self._settings, self._claim.task.demands)
        expires_at = now() + expires * 1_000_000 if expires else None
        about = CallContext(asked=asked, reads=reads)
        if asked and not reads and not self._claim.task.auto_execute:
            hidden = self._hidden.get(call.key, _NOT_KEPT) if stays else _NOT_KEPT
            about["hidden"] = hidden if call.digest.startswith(KEYED) else None
            about["circumstances"] = circumstances(
                self._claim,
                self._variables.versions(),
                self._command_runner.allowed,
                self._command_runner.tier,
                self._settings,
            )
        return await self._record.begin_call(call.id, expires_at, **about)

    def command(self, call: Call, ran: RunCommand) -> RunCommand:
        """Return the command to run for a call that may proceed.

        A command that only reads, and that a standing approval covers, runs without the task's variables: the approval
        was given to another command with the same first words, and not to what the variables make of this one.
        """
        is_granted = not self._claim.task.auto_execute and call.outcome is None
        if is_granted and similarity.only_reads(call.args):
            return RunCommand(argv=ran.argv, env=similarity.READING, inherits=False, attached=ran.attached)
        return ran

    async def _key(self, proposal: Proposal) -> MaskedText:
        """Return the key of a call, which its agent must have masked. Raises RemitError (VALIDATION_ERROR)."""
        key = await self._variables.masker.text(proposal.key)
        if key != proposal.key:
            raise RemitError(Code.VALIDATION_ERROR, f"the agent's key of a call contains a secret: {key}")
        return key

    async def _why_hidden(self, proposal: Proposal) -> MaskedText | None:
        """Return why a call with something masked cannot be approved; None if only the value of a secret is masked."""
        masker, given = self._variables.masker, [proposal.tool_name, proposal.args]
        values = await masker.json(given, parts=False)
        if values != await masker.json(given):
            return _LINE
        executed = list(_executed(proposal.args))
        return _COMMAND if executed != await masker.json(executed) else None

    def _keyed(self, args: Mapping[str, Any]) -> str:
        return f"{KEYED}{self._variables.fingerprint(similarity.canonical(args))}"


def _executed(value: Any) -> Iterator[Any]:
    """Yield the executed parts of arguments, at any depth."""
    for name, each in value.items() if isinstance(value, Mapping) else enumerate(value):
        word = str(name).lower()
        if word in _COMMANDS or (word in _GIVEN and not isinstance(each, Mapping)):
            yield each
        elif isinstance(each, (Mapping, list)):
            yield from _executed(each)
