"""A server that the tests of this folder share, and one of a test's own."""

from tests.homes import own_home, shared_home

__all__ = ["own_home", "shared_home"]
