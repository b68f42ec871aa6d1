"""Detection of an upgrade under a running server: modules imported later would be of another version.

Programs that commands run with are copies made at the server's start (`server.runner.programs.copies`).
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
    """Raise RemitError (CONFLICT) if a module was not imported before the installation was replaced."""
    if module not in sys.modules and _identity() != _AT_START:
        raise RemitError(
            Code.CONFLICT,
            "remit was upgraded while this server ran, and this needs files that are not the same any more; end the "
            "server with `remit server stop`: the next command starts the new one",
        )
