"""The launcher."""

VERSION = "0.1.0"


def main() -> None:
    """Start."""
