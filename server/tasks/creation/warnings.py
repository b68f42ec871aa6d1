"""Warnings that an accepted request is answered with, whatever task it is about."""

from collections.abc import Mapping, Sequence

from server.tasks.callers import Caller
from server.tasks.secrets import masking


def general_warnings(caller: Caller, secrets: Mapping[str, str], notices: Sequence[str]) -> list[str]:
    """Return warnings, a sentence each: of secrets too short to be masked, the caller's settings, the `notices`."""
    return [*masking.not_masked(secrets), *_ineffective(caller), *notices]


def _ineffective(caller: Caller) -> list[str]:
    """Warn of settings of the caller's window that are not in force; a terminal user is told by the command line."""
    if caller.person or not caller.settings_not_in_force:
        return []
    return [
        f"the server was started with other settings than this window has: {', '.join(caller.settings_not_in_force)}; "
        "the server's hold until it is ended with `remit server stop`"
    ]
