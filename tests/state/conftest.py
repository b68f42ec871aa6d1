"""State folders of a test's own."""

from tests.homes import own_home

__all__ = ["own_home"]
