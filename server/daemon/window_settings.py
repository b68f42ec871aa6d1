"""What the `REMIT_*` variables of a window count for, where the server was started with others.

A window gets what is stricter, for its own connection. All else holds as the server was started, and is said.
"""

from collections.abc import Mapping

from server.daemon.handshake import PERSON, WISHES


def stricter(wishes: frozenset[str], settings: Mapping[str, str]) -> frozenset[str]:
    """Those of the server's `settings` that are to be `person` for a window that wishes so, and are not for all."""
    return frozenset(name for name in wishes if settings.get(name, PERSON) != PERSON)


def not_in_force(
    window: Mapping[str, str] | None, wishes: frozenset[str], server: Mapping[str, str]
) -> tuple[str, ...]:
    """The names of variables that differ between a window and the server, and do not hold for the window.

    `window` and `server` have a checksum for each variable; a window that is too old to say has None.
    """
    if window is None:
        return ()
    granted = {f"REMIT_{name.upper()}" for name in WISHES if name in wishes}
    return tuple(
        name
        for name in sorted(window.keys() | server.keys())
        if window.get(name) != server.get(name) and name not in granted
    )
