"""Decisions on calls that wait for approval, and the standing approvals ("always")."""

from collections.abc import Callable
from secrets import token_hex
from typing import Literal

import anyio

from server.config import Settings
from server.errors import Code, RemitError
from server.tasks import validation
from server.tasks.callers import Caller
from server.tasks.requests.request_models import ApproveToolCall, RevokeGrant
from server.tasks.requests.stored_texts import stored_texts
from server.tasks.secrets.vault import SecretVault
from server.tasks.sessions import session_end
from server.tasks.views import call_line, pending_approval, task_view, view_models
from storage.interface import Store
from storage.records.calls import Decision, NewGrant


class Decisions:
    """Records decisions. Its methods raise RemitError for errors that the caller can correct."""

    def __init__(self, store: Store, vault: SecretVault, poke: Callable[[], None], settings: Settings) -> None:
        self._store = store
        self._vault = vault
        self._poke = poke
        self._settings = settings

    async def approve(self, caller: Caller, request: ApproveToolCall) -> view_models.ApprovedView:
        """Record the decision on a waiting call. A call is decided once.

        Raises RemitError: FORBIDDEN for a decision that only a person may make; VALIDATION_ERROR, with the right text,
        when the text shown to the user is not, or no longer, what the call does.
        """
        self._check_right(caller, request)
        if request.call is not None:
            await self._check_shown(caller, request, request.call)
        wanted = await self._store.secret_names(caller.principal, request.id)
        await validation.refuse_values(self._vault.known(request.id), stored_texts(request))
        with anyio.CancelScope(shield=True):  # a caller that gives up must not leave a decision without effect
            decided = await self._store.decide_call(
                caller.principal,
                request.id,
                request.call_id,
                self._decision(caller, request),
                secrets_at_hand=not self._vault.missing(request.id, wanted),
            )
            self._poke()
        return view_models.ApprovedView(approved=request.outcome != "cancel", status=decided.status)

    async def grants(self, caller: Caller) -> pending_approval.GrantsView:
        """Return the standing approvals in force."""
        return pending_approval.GrantsView(
            grants=[task_view.grant(grant) for grant in await self._store.grants(caller.principal)]
        )

    async def revoke(self, caller: Caller, request: RevokeGrant) -> pending_approval.RevokedView:
        """Revoke a standing approval."""
        await self._store.revoke_grant(caller.principal, request.id)
        return pending_approval.RevokedView(id=request.id)

    def who(self, caller: Caller, setting: Literal["approvals", "always"]) -> str:
        """Return who may approve this caller's calls, once or always: "caller" or "person"."""
        if setting == "always" and self.who(caller, "approvals") == "person":
            return "person"
        return "person" if setting in caller.person_only else getattr(self._settings, setting)

    async def _check_shown(self, caller: Caller, request: ApproveToolCall, shown: str) -> None:
        call = await self._store.call(caller.principal, request.id, request.call_id)
        line = call_line.line(call.tool_name, call.args, call.differs)
        if not call_line.says(shown, line):
            raise RemitError(
                Code.VALIDATION_ERROR,
                f"call: is not the line of this call; nothing was decided. Show the user this and send it back: {line}",
                field="call",
                call=line,
            )

    def _check_right(self, caller: Caller, request: ApproveToolCall) -> None:
        if caller.person:
            return
        command = f"remit approve {request.id} {request.call_id}"
        if self.who(caller, "approvals") == "person":
            raise RemitError(
                Code.FORBIDDEN,
                'approvals are given by a person here (approvals = "person"): ask them to run '
                f"`{command}` in a terminal",
            )
        if request.outcome == "proceed_always" and self.who(caller, "always") == "person":
            raise RemitError(
                Code.FORBIDDEN,
                'outcome: proceed_always is given by a person here (always = "person"), and nothing was decided: use '
                f"proceed_once, or ask them to run `{command} --always` in a terminal",
                field="outcome",
            )

    def _decision(self, caller: Caller, request: ApproveToolCall) -> Decision:
        return Decision(
            outcome=request.outcome,
            by=f"{caller.principal.name} ({'terminal' if caller.person else 'tool call'})",
            reason=request.message,
            grant=self._grant() if request.outcome == "proceed_always" else None,
        )

    def _grant(self) -> NewGrant:
        return NewGrant(f"grant_{token_hex(8)}", session_end(self._settings))
