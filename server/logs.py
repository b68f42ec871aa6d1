"""The server's log: a size-limited file in the state folder, one line per record.

Within `about`, records carry the ids of the task concerned, and its secrets are masked.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from types import TracebackType
from typing import Literal

from server.daemon.paths import StatePaths

FILE_BYTES = 1024**2
FILES = 3  # server.log, and the two before it as .1 and .2

Format = Literal["text", "json"]
Mask = Callable[[str], str]

_TIME = "%Y-%m-%dT%H:%M:%S"

# These libraries log URLs and responses, which may contain secrets; our own errors report what matters.
_SPEAKING_OUT = ("mcp.client", "httpx2", "httpcore2", "openai", "anthropic", "pydantic_ai")

_about: ContextVar[Mapping[str, str | int]] = ContextVar("about", default={})  # noqa: B039
_mask: ContextVar[Mask] = ContextVar("mask", default=str)

_log = logging.getLogger(__name__)


def configure(paths: StatePaths, form: Format = "text") -> None:
    """Send the records of remit from INFO, and of libraries from WARNING, to the log file of the state folder.

    With `json`, each line is an object, and the error that ends the server is logged as a record too.
    """
    handler = _PrivateFile(paths.log, maxBytes=FILE_BYTES, backupCount=FILES - 1, encoding="utf-8")
    handler.setFormatter(_Objects(datefmt=_TIME) if form == "json" else _OneLine(_TEXT, _TIME))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for package in ("server", "storage", "templates"):
        logging.getLogger(package).setLevel(logging.INFO)
    for library in _SPEAKING_OUT:
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    if form == "json":
        sys.excepthook = _record_end


@contextmanager
def about(*, mask: Mask | None = None, **ids: str | int) -> Iterator[None]:
    """Add these ids to the records made within the block, besides those of outer blocks, and mask them with `mask`."""
    known = _about.set({**_about.get(), **ids})
    masked = _mask.set(mask or _mask.get())
    try:
        yield
    finally:
        _mask.reset(masked)
        _about.reset(known)


class _PrivateFile(RotatingFileHandler):
    """A rotating file that only its owner can read."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, opener=_private)


_TEXT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"


class _OneLine(logging.Formatter):
    """A formatter that puts a record and its traceback on one line, so that no task can write a line of its own."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        return _mask.get()(super().format(record)).replace("\r", "\\r").replace("\n", "\\n")


class _Objects(logging.Formatter):
    """A formatter that writes a record as a JSON object on one line: time, level, logger, message, ids, traceback."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        mask = _mask.get()
        told: dict[str, str | int] = {
            "time": f"{self.formatTime(record, _TIME)}.{int(record.msecs):03}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": mask(record.getMessage()),
            **_about.get(),
        }
        if record.exc_info:
            told["exception"] = mask(self.formatException(record.exc_info))
        return json.dumps(told)


def _record_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _log.critical("the server ends by an error", exc_info=(kind, error, trace))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
