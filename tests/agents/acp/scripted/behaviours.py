"""The behaviours of the scripted agent, by name."""

from collections.abc import Callable

BEHAVIOURS: dict[str, Callable[[], None]] = {}


def behaviour(function: Callable[[], None]) -> Callable[[], None]:
    """Something this agent can do, by its name."""
    BEHAVIOURS[function.__name__] = function
    return function
