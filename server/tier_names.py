"""The tiers of the sandbox by name, strongest first, and what each promises: the one list of them."""

from typing import Final, Literal, get_args

Protecting = Literal["namespaces"]
"""Tiers that keep read-only, in a folder that can be written, what other tools would execute: .git/hooks, .envrc …"""

Confining = Literal[Protecting, "landlock"]
"""Tiers that confine a command to what it was granted. `auto` tries them in this order."""

TierName = Literal[Confining, "off"]

Wanted = Literal["auto", TierName]
"""What the setting `sandbox` may be."""

TIER_NAMES: Final[tuple[TierName, ...]] = get_args(TierName)


def protects(tier: TierName) -> bool:
    """Return whether a tier protects what other tools would execute."""
    return tier in get_args(Protecting)


def confines(tier: TierName) -> bool:
    """Return whether a tier confines commands at all."""
    return tier in get_args(Confining)


def stronger_than(tier: TierName) -> tuple[TierName, ...]:
    """Return the tiers that are stronger than this one, strongest first."""
    return TIER_NAMES[: TIER_NAMES.index(tier)]
