"""The sandbox of commands, for those that reach beyond it."""

from tests.sandbox.conftest import confining, workspace

__all__ = ["confining", "workspace"]
