"""The behaviours of the scripted agent, by name."""

from collections.abc import Callable

BEHAVIOURS: dict[str, Callable[[], None]] = {}


def behaviour(function: Callable[[], None]) -> Callable[[], None]:
    """Register a behaviour of the agent under its name."""
    BEHAVIOURS[function.__name__] = function
    return function
