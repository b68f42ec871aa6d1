"""The record of what a task asks of its surroundings when it runs, beyond the operator's settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

OnInterrupt = Literal["fail", "retry", "resume"]


class Requirements(TypedDict, total=False):
    """Limits that the sandbox must enforce; otherwise the task is refused."""

    tier: str
    network: Literal["none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """The demands of a task; None, or a field's default, if it asks for nothing."""

    on_interrupt: OnInterrupt | None = None
    """What becomes of a task that was cut off in a call; None: it fails."""

    approval_timeout_seconds: int | None = None
    """After so many seconds an undecided call is refused."""

    limits: Mapping[str, int] | None = None
    """Limits lower than the operator's, by their names in requests; see `server.tasks.sandbox_policy`."""

    require: Requirements | None = None
    allow_hooks: bool = False
    """Whether its commands may write what other tools execute."""

    mcp_servers: tuple[str, ...] = ()
    """The names of configured servers, beside those of its agent."""

    def as_json(self) -> dict[str, Any] | None:
        """Return them as an object for the database, without what is not asked for; None if that is everything."""
        asked = {
            "onInterrupt": self.on_interrupt,
            "approvalTimeoutSeconds": self.approval_timeout_seconds,
            "limits": self.limits,
            "require": self.require,
            "allowHooks": self.allow_hooks or None,
            "mcpServers": list(self.mcp_servers) or None,
        }
        return {name: value for name, value in asked.items() if value is not None} or None

    @classmethod
    def of_json(cls, kept: Mapping[str, Any] | None) -> "Demands":
        """Return them from what `as_json` has returned."""
        kept = kept or {}
        return cls(
            on_interrupt=kept.get("onInterrupt"),
            approval_timeout_seconds=kept.get("approvalTimeoutSeconds"),
            limits=kept.get("limits"),
            require=kept.get("require"),
            allow_hooks=kept.get("allowHooks", False),
            mcp_servers=tuple(kept.get("mcpServers", ())),
        )
