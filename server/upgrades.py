"""Notices that the installation of a running server was replaced: what it has not imported yet would be another's.

What commands are run with is a copy that the server has made at its start (`server.runner.programs.copies`).
"""

import os
import sys

from server.errors import Code, RemitError

_MARK = os.path.abspath(__file__)


def _identity() -> tuple[int, int, int] | None:
    try:
        status = os.stat(_MARK)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns


_AT_START = _identity()


def check_importable(module: str) -> None:
    """Raise RemitError (CONFLICT) where a module was not imported before the installation was replaced."""
    if module not in sys.modules and _identity() != _AT_START:
        raise RemitError(
            Code.CONFLICT,
            "remit was upgraded while this server ran, and this needs files that are not the same any more; end the "
            "server with `remit server stop`: the next command starts the new one",
        )
