"""Models of calls that wait for approval, and of standing approvals."""

from typing import Any, NotRequired

from typing_extensions import TypedDict  # pydantic reads the one in typing only from Python 3.12 on


class PendingApprovalView(TypedDict):
    """A call that waits for a yes or no; `call` is all of it on one line, as `server.tasks.views.call_line` makes it.

    `differs` says what else decides what it does: what differs from the task's last yes, or, where there was none, what
    is set at all. `onceOnly` stands where it cannot be approved for always, since a secret is masked in it.
    """

    callId: str
    call: str
    toolName: str
    args: dict[str, Any]
    description: str
    differs: NotRequired[list[str]]
    omittedDifferences: NotRequired[int]
    onceOnly: NotRequired[bool]
    expiresAt: NotRequired[str]


class GrantView(TypedDict):
    """A `proceed_always` in force."""

    id: str
    taskId: str | None
    toolName: str
    description: str
    grantedBy: str
    createdAt: str
    expiresAt: str


class GrantsView(TypedDict):
    """The answer to list_grants."""

    grants: list[GrantView]


class RevokedView(TypedDict):
    """The answer to revoke_grant."""

    id: str
