"""The sandbox of commands, for those that reach beyond it."""

from tests.runner.conftest import confining, workspace

__all__ = ["confining", "workspace"]
