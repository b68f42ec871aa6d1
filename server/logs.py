"""The server's log: one file in the state folder, one line a record, nothing that grows without end."""

import logging
import os
import time
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler

from server.places import Places

FILE_BYTES = 1024**2
FILES = 3  # server.log, and the two before it as .1 and .2


# They log addresses and answers of others, which may hold a secret; our own errors say what matters of it.
_SPEAKING_OUT = ("mcp.client", "httpx2", "httpcore2", "openai", "anthropic", "pydantic_ai")


def configure(places: Places) -> None:
    """Send what our rooms log from INFO, and what libraries log from WARNING, to the log file of the state folder."""
    handler = _PrivateFile(places.log, maxBytes=FILE_BYTES, backupCount=FILES - 1, encoding="utf-8")
    handler.setFormatter(_OneLine("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for room in ("server", "storage", "templates"):
        logging.getLogger(room).setLevel(logging.INFO)
    for library in _SPEAKING_OUT:
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)


class _PrivateFile(RotatingFileHandler):
    """A rotating file that only its owner can read."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, opener=_private)


class _OneLine(logging.Formatter):
    """A record, its traceback included, on one line: a line in the log is never something a task wrote there."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\r", "\\r").replace("\n", "\\n")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
