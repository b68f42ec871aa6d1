"""The server's log file."""

import json
import logging
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from server import logs
from server.daemon.paths import StatePaths
from templates.redaction import Redactor


@pytest.fixture
def log(paths: StatePaths) -> Iterator[Path]:
    """The log file, with logging set up to write to it; undone afterwards."""
    with _configured(paths, "text") as path:
        yield path


@pytest.fixture
def objects(paths: StatePaths) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The records so far, with logging set up to write JSON; undone afterwards."""
    with _configured(paths, "json") as path:
        yield lambda: [json.loads(line) for line in path.read_text().splitlines()]


@contextmanager
def _configured(paths: StatePaths, form: logs.Format) -> Iterator[Path]:
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    logs.configure(paths, form)
    yield Path(paths.log)
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook = hook


def test_a_record_is_one_line_even_with_a_traceback(log: Path) -> None:
    try:
        raise ZeroDivisionError("of two\nlines")
    except ZeroDivisionError:
        logging.getLogger("server.daemon.listener").exception("ended\r\nby an error")
    (line,) = log.read_text().splitlines()
    assert "ERROR server.daemon.listener: ended\\r\\nby an error\\nTraceback" in line
    assert line.endswith("ZeroDivisionError: of two\\nlines")


def test_the_time_of_a_record_is_utc(log: Path) -> None:
    record = logging.makeLogRecord({"created": 0.25, "msecs": 250.0, "msg": "then"})
    logging.getLogger().handlers[0].handle(record)
    assert log.read_text().startswith("1970-01-01T00:00:00.250Z ")


def test_ours_are_logged_from_info_and_libraries_from_warning(log: Path) -> None:
    for name in ("server.daemon.listener", "storage.sqlite.store", "templates.resolver", "mcp.server"):
        logging.getLogger(name).info("said by %s", name)
    logging.getLogger("mcp.server").warning("a warning")
    told = [line.split(": ", 1)[1] for line in log.read_text().splitlines()]
    assert told == [
        "said by server.daemon.listener",
        "said by storage.sqlite.store",
        "said by templates.resolver",
        "a warning",
    ]


def test_it_is_kept_in_three_files_of_a_mebibyte(log: Path) -> None:
    for number in range(5 * 1024):
        logging.getLogger("server").info("%d %s", number, "x" * 1024)
    files = sorted(log.parent.glob("server.log*"))
    assert [file.name for file in files] == ["server.log", "server.log.1", "server.log.2"]
    assert all(file.stat().st_size <= 1024**2 for file in files)


def test_its_files_are_the_owners_alone(log: Path) -> None:
    for _ in range(2 * 1024):
        logging.getLogger("server").info("x" * 1024)
    assert {stat.S_IMODE(file.stat().st_mode) for file in log.parent.glob("server.log*")} == {0o600}


def test_a_record_in_json_is_an_object_a_line(objects: Callable[[], list[dict[str, Any]]]) -> None:
    logging.getLogger("server.daemon.listener").warning("of %s\nlines", "two")
    (told,) = objects()
    assert told.pop("time").endswith("Z")
    assert told == {"level": "WARNING", "logger": "server.daemon.listener", "message": "of two\nlines"}


def test_a_record_in_json_has_its_traceback(objects: Callable[[], list[dict[str, Any]]]) -> None:
    try:
        raise ZeroDivisionError("of nothing")
    except ZeroDivisionError:
        logging.getLogger("server.daemon.listener").exception("ended")
    (told,) = objects()
    assert told["exception"].endswith("ZeroDivisionError: of nothing")


def test_a_record_has_the_ids_of_what_it_is_about(objects: Callable[[], list[dict[str, Any]]]) -> None:
    with logs.about(task="t", run=1):
        with logs.about(call="c"):
            logging.getLogger("server").info("within")
        logging.getLogger("server").info("around")
    logging.getLogger("server").info("outside")
    assert [{name: each[name] for name in ("task", "run", "call") if name in each} for each in objects()] == [
        {"task": "t", "run": 1, "call": "c"},
        {"task": "t", "run": 1},
        {},
    ]


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_of_what_it_is_about_are_masked(paths: StatePaths, form: logs.Format) -> None:
    with _configured(paths, form) as path, logs.about(mask=Redactor({"A": "a-secret-value"}).redact):
        logging.getLogger("server").info("a-secret-value")
        try:
            raise ZeroDivisionError("a-secret-value")
        except ZeroDivisionError:
            logging.getLogger("server").exception("again")
    assert "a-secret-value" not in path.read_text()
    assert len(path.read_text().splitlines()) == 2


def test_the_error_that_ends_a_server_is_a_record_in_json(objects: Callable[[], list[dict[str, Any]]]) -> None:
    error = ZeroDivisionError("of nothing")
    sys.excepthook(type(error), error, None)
    assert [(told["level"], told["exception"]) for told in objects()] == [("CRITICAL", "ZeroDivisionError: of nothing")]
