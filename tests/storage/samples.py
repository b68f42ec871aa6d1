"""Records as tests want them: everything has a default."""

from itertools import count
from typing import Any
from uuid import uuid4

from storage.interface import Store
from storage.records.calls import CallResult, Circumstances, Decision, NewCall, NewGrant, Outcome
from storage.records.demands import Demands
from storage.records.masked import MaskedArgs, MaskedText
from storage.records.outcomes import Pause
from storage.records.states import CallStatus
from storage.records.tasks import Claim, NestingLimits, NewTask, NewTurn, Principal
from storage.records.workspaces import RepositoryRecord
from storage.times import now

ANN = Principal("ann", "Ann")
BOB = Principal("bob", "Bob")
HOUR = 3600 * 1_000_000

REPOSITORY = RepositoryRecord(
    git="/r", objects=("/r/objects",), top=None, inside="", base="0" * 40, format="sha1", has_submodules=False
)

_numbers = count(1)


def new_task(**changes: Any) -> NewTask:
    values: dict[str, Any] = {
        "id": str(uuid4()),
        "agent": "shell",
        "message": "$ echo hello",
        "title": None,
        "system_prompt": None,
        "show_in_history": True,
        "auto_execute": True,
        "env": None,
        "secrets": {},
        "metadata": None,
        "demands": Demands(),
        "sandbox": "namespaces",
        "timeout_seconds": 60,
        "idempotency_key": None,
        "request_digest": "digest",
        "conversation": str(uuid4()),
        "session": str(uuid4()),
        "session_expires_at": now() + HOUR,
        "nesting": NestingLimits(depth=5, count=10_000),
    }
    return NewTask(**values | changes)


def new_turn(**changes: Any) -> NewTurn:
    values: dict[str, Any] = {
        "message": "$ echo again",
        "env": None,
        "secrets": {},
        "session": str(uuid4()),
        "session_expires_at": now() + HOUR,
    }
    return NewTurn(**values | changes)


def new_call(key: str = "1", *, similar: tuple[str, ...] = ("exact:1",), digest: str = "1") -> NewCall:
    return NewCall(
        key=MaskedText(key),
        id=f"call_{next(_numbers)}",
        tool_name=MaskedText("shell"),
        args=MaskedArgs({"command": key}),
        digest=digest,
        similar=similar,
        description=MaskedText(f"Run: {key}"),
    )


def decision(outcome: Outcome = "proceed_once") -> Decision:
    grant = NewGrant(f"grant_{next(_numbers)}", now() + HOUR) if outcome == "proceed_always" else None
    return Decision(outcome=outcome, by="Ann", reason=None, grant=grant)


def circumstances(variable: str) -> Circumstances:
    """Return circumstances in which a variable has a value; they differ by that of the last yes."""
    return Circumstances(
        digest=variable,
        content={"variable": variable},
        differ=lambda before: [f"{before['variable'] if before else 'nothing'} before"],
    )


DONE = CallResult(CallStatus.SUCCESS, MaskedText("done"), exit_status=0)


async def claimed(store: Store, principal: Principal = ANN, **changes: Any) -> Claim:
    """Return a task that was just claimed."""
    await store.create_task(principal, new_task(**changes))
    claim = await store.claim_run("owner")
    assert claim
    return claim


async def waiting(store: Store, *calls: NewCall, **changes: Any) -> Claim:
    """Return a task whose first call waits for approval."""
    claim = await claimed(store, auto_execute=False, **changes)
    first, *_ = await store.announce_calls(claim.run, calls or [new_call()])
    await store.begin_call(claim.run, first.id, None)
    await store.end_run(claim.run, Pause.SUSPENDED)
    return claim
