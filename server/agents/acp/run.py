"""One run of a turn with an ACP agent, from start to end."""

from collections.abc import Sequence
from contextlib import suppress

import anyio

from server.agents.acp import prompts
from server.agents.acp.client import AcpClient
from server.agents.acp.connection import JsonRpcConnection, ProgramGone, ProtocolFault, RequestRefused
from server.agents.acp.schema import Prompted, Tokens
from server.agents.acp.session import GRACE_SECONDS, AcpSession, SessionTerms
from server.agents.interface import KnownCall, Turn, Usage
from server.concurrency import in_background
from server.errors import Code, RemitError
from server.runner.dialogue import ProcessIO

END_SECONDS = 2.0
"""Seconds for an agent to end by itself after its turn, while it saves its session."""

_FAILURES = {
    "refusal": (Code.EXECUTION_ERROR, "the agent refused to go on"),
    "max_tokens": (Code.LIMIT_EXCEEDED, "the agent reached the limit of its model's tokens"),
    "max_turn_requests": (Code.LIMIT_EXCEEDED, "the agent reached its limit of requests to its model"),
    "cancelled": (Code.EXECUTION_ERROR, "the agent gave its turn up by itself"),
}


class AcpRun:
    """A run of a turn over the connection to the agent's process."""

    def __init__(self, turn: Turn, process_io: ProcessIO, terms: SessionTerms) -> None:
        self._turn = turn
        self._process_io = process_io
        self._terms = terms
        self._conversation = AcpClient(turn)
        self._connection = JsonRpcConnection(process_io, self._conversation)
        self._conversation.attach(self._connection)
        self._session = AcpSession(self._connection, terms)

    async def work(self) -> None:
        """Do the turn. Raises RemitError for failures of the agent, and what the turn raises."""
        try:
            await self._heard()
        except ProgramGone:
            raise await self._ended() from None
        except RequestRefused as error:
            raise RemitError(Code.EXECUTION_ERROR, self._with_last_words(f"the agent says: {error.message}")) from None
        except ProtocolFault as fault:
            raise RemitError(Code.EXECUTION_ERROR, f"the agent's answer is not valid: {fault}") from None
        except RemitError as error:
            if error.code is not Code.TIMEOUT:
                raise
            raise RemitError(Code.TIMEOUT, self._with_last_words(error.message)) from None

    async def _heard(self) -> None:
        async with in_background(self._conversation.serve, self._connection.serve):
            try:
                await self._session.initialize()
                await self._follow(await self._begin())
                await self._part()
            except Exception:
                await self._break_off()
                with suppress(RemitError):
                    await self._conversation.cut_off()
                raise
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await self._break_off()
                raise

    async def _begin(self) -> str:
        """Open or resume a session. Returns the first prompt."""
        await self._turn.propose(())  # loads the calls of earlier runs
        calls = list(self._turn.calls().values())
        state = await self._turn.recall()
        earlier = await self._turn.recall_earlier() if state is None else None
        message = self._turn.message
        if await self._taken_up((state or earlier or {}).get("session")):
            text = message if state is None else prompts.resumed(message, calls)
        else:
            await self._session.open()
            text = prompts.first(message, self._terms.system_prompt, await self._turn.history(), calls)
        self._conversation.join(self._session.id)
        await self._remember(None)
        return text

    async def _taken_up(self, session_id: object) -> bool:
        return self._terms.resume and isinstance(session_id, str) and await self._session.take_up(session_id)

    async def _remember(self, tokens: Tokens | None) -> None:
        lasts = self._terms.resume and self._session.can_be_resumed
        await self._turn.remember({"session": self._session.id} if lasts else {}, _usage(tokens) if tokens else None)
        await self._turn.set_process_bound(not lasts)

    async def _follow(self, text: str) -> None:
        """Prompt the agent until it is done and has answered for refused calls."""
        while True:
            answer = await self._prompted(text)
            await self._remember(answer.usage)
            refused = self._refused()
            if answer.stop_reason != "end_turn" and not (refused and answer.stop_reason == "cancelled"):
                raise _failure(answer.stop_reason)
            if not refused:
                return
            text = prompts.refused(refused)

    async def _prompted(self, text: str) -> Prompted:
        answer = None
        with anyio.CancelScope() as scope:
            self._conversation.begin(scope)
            answer = await self._session.prompt(text, self._conversation.pause)
        if answer is None or self._conversation.error:
            assert self._conversation.error
            raise self._conversation.error
        await self._conversation.end()
        return answer

    def _refused(self) -> Sequence[KnownCall]:
        known = self._turn.calls()
        return [known[key] for key in self._conversation.refused]

    async def _part(self) -> None:
        with suppress(ProgramGone, RequestRefused):
            await self._session.close()
        await self._process_io.close_input()
        with anyio.move_on_after(END_SECONDS):
            await self._process_io.ended()

    async def _break_off(self) -> None:
        """Cancel the agent's turn as the protocol requires, if it still listens.

        The cancellation is sent before its open questions are answered: otherwise it would tell its model of a refusal
        and go on for a moment.
        """
        with anyio.move_on_after(GRACE_SECONDS), suppress(ProgramGone, RequestRefused, RemitError):
            self._conversation.pause()
            await self._session.cancel()
            await self._conversation.withdraw()
            await self._session.stopped()

    async def _ended(self) -> RemitError:
        """Return why the program has ended."""
        with anyio.move_on_after(END_SECONDS):
            ended = await self._process_io.ended()
            if ended.limit:
                return RemitError(Code.LIMIT_EXCEEDED, f"the agent was ended: {ended.limit}")
            reason = f"the agent ended before its turn did, with status {ended.status}"
            return RemitError(Code.EXECUTION_ERROR, self._with_last_words(reason), exitStatus=ended.status)
        return RemitError(Code.EXECUTION_ERROR, self._with_last_words("the agent closed its output, but did not end"))

    def _with_last_words(self, reason: str) -> str:
        fault = self._connection.last_fault
        words = self._process_io.last_words.strip()
        advice = [text for word, text in self._terms.advice.items() if word in words]
        told = [reason, *advice, *([f"it also said: {fault}"] if fault else [])]
        return "; ".join(told) + (f"; its last words:\n{words}" if words else "")


def _failure(stop_reason: str) -> RemitError:
    unknown = (Code.EXECUTION_ERROR, f"the agent stopped for a reason that is not known here: {stop_reason}")
    code, reason = _FAILURES.get(stop_reason, unknown)
    return RemitError(code, reason)


def _usage(tokens: Tokens) -> Usage:
    cached = (tokens.cached_read_tokens or 0) + (tokens.cached_write_tokens or 0)
    return Usage(input_tokens=tokens.input_tokens + cached, output_tokens=tokens.output_tokens)
