"""The effect of a window's `REMIT_*` variables when the server was started with others.

A window gets stricter values for its own connection. Everything else stays as the server was started, and is reported.
"""

from collections.abc import Mapping

from server.daemon.handshake import PERSON, WISHES


def stricter(wishes: frozenset[str], settings: Mapping[str, str]) -> frozenset[str]:
    """Return those of the server's `settings` that become `person` for a window that wishes so, and are not already."""
    return frozenset(name for name in wishes if settings.get(name, PERSON) != PERSON)


def not_in_force(
    window: Mapping[str, str] | None, wishes: frozenset[str], server: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the names of variables that differ between window and server, and have no effect for the window.

    `window` and `server` have a checksum for each variable; None for a window whose version does not send them.
    """
    if window is None:
        return ()
    granted = {f"REMIT_{name.upper()}" for name in WISHES if name in wishes}
    return tuple(
        name
        for name in sorted(window.keys() | server.keys())
        if window.get(name) != server.get(name) and name not in granted
    )
