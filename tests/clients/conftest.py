"""One server that all clients share."""

from tests.homes import shared_home

__all__ = ["shared_home"]
