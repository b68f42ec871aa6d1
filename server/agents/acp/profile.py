"""Profiles of agents that speak the Agent Client Protocol."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.agents.installation import Installation, find


def _nothing(_: str | None) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One agent: how it is started, made to ask for approval, and signed in. The settings override all of it."""

    id: str
    description: str
    command: tuple[str, ...]
    install: str = ""
    """The command that installs it."""

    locate: Callable[[Sequence[str]], Installation] = find
    """Finds its installation by its command. Raises RemitError (AGENT_UNAVAILABLE)."""

    env: Mapping[str, str] = field(default_factory=dict)
    steered_by: tuple[str, ...] = ()
    """Patterns (`fnmatch`) of its own variables that a task must not set."""

    home: Mapping[str, str] = field(default_factory=dict)
    """Files in its HOME that it cannot change: path -> text."""

    keys: Mapping[str, str] = field(default_factory=dict)
    """Variables with a key, one of which is enough, and the host that each is for."""

    is_set_up_by: tuple[str, ...] = ()
    """Variables that choose its model, and so can stand in for a key known here."""

    mode: str | None = None
    """The session mode in which it asks for approval, if it has several."""

    auth_method: str | None = None
    """The method to sign it in with, if it does not sign in by itself."""

    meta: Callable[[str | None], Mapping[str, Any]] = _nothing
    """Returns the extra fields (`_meta`) of a new session, from the system prompt."""

    takes_system_prompt: bool = False
    """Whether `meta` passes on the system prompt; otherwise it is put before the message."""

    least_memory: int = 0
    """Bytes of memory below which it does not start, or hangs."""

    advice: Mapping[str, str] = field(default_factory=dict)
    """Advice about a failure, by a word in its last output."""

    notes: tuple[str, ...] = ()
    """How reliable its approval requests are, a sentence each."""
