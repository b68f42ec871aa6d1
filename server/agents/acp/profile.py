"""What is known of an agent that speaks the protocol."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.agents.installation import Installation, find


def _nothing(_: str | None) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One agent: how it is started, made to ask, and signed in. The settings go over all of it."""

    id: str
    description: str
    command: tuple[str, ...]
    install: str = ""
    """What installs it."""

    locate: Callable[[Sequence[str]], Installation] = find
    """Where it is, by its command. Raises RemitError (AGENT_UNAVAILABLE)."""

    env: Mapping[str, str] = field(default_factory=dict)
    steered_by: tuple[str, ...] = ()
    """Variables of its own that a task must not set, in the words of `fnmatch`."""

    home: Mapping[str, str] = field(default_factory=dict)
    """Files in its HOME, which it cannot change: path -> text."""

    keys: Mapping[str, str] = field(default_factory=dict)
    """Variables that sign it in, one of them enough, and the host that each is for."""

    is_set_up_by: tuple[str, ...] = ()
    """Variables that say which model it uses, and so may stand in for a key that is known here."""

    mode: str | None = None
    """The mode of a session in which it asks, where there are several."""

    auth_method: str | None = None
    """How it is told to sign in, where it does not by itself."""

    meta: Callable[[str | None], Mapping[str, Any]] = _nothing
    """What a session is opened with beside the protocol, made from the system prompt."""

    takes_system_prompt: bool = False
    """Whether `meta` hands it on; else it is put in front of the message."""

    least_memory: int = 0
    """Bytes of memory without which it does not start, or hangs."""

    advice: Mapping[str, str] = field(default_factory=dict)
    """What to do about a failure, by a word in what it then says last."""

    notes: tuple[str, ...] = ()
    """What its asking is worth, a sentence each."""
