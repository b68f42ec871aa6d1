"""A program of the operator's own."""

from server.agents.acp.profile import Profile
from server.config import AcpSettings


def custom(name: str, settings: AcpSettings) -> Profile:
    """Return the profile that the settings describe; nothing else is known about the program."""
    assert settings.command
    return Profile(
        id=name,
        description=f"Runs {settings.command[0]}, a program that speaks the Agent Client Protocol.",
        command=settings.command,
        install="check its command in the settings",
        notes=(
            "Whether it asks before it does something is up to it: what it does without having asked is shown, and "
            "held by the sandbox alone.",
        ),
    )
