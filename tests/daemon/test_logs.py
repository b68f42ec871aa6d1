"""The server's log file."""

import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from server import logs
from server.places import Places


@pytest.fixture
def log(places: Places) -> Iterator[Path]:
    """The log file, with logging set up to write to it; undone afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    logs.configure(places)
    yield Path(places.log)
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_record_is_one_line_even_with_a_traceback(log: Path) -> None:
    try:
        raise ZeroDivisionError("of two\nlines")
    except ZeroDivisionError:
        logging.getLogger("server.daemon").exception("ended\r\nby an error")
    (line,) = log.read_text().splitlines()
    assert "ERROR server.daemon: ended\\r\\nby an error\\nTraceback" in line
    assert line.endswith("ZeroDivisionError: of two\\nlines")


def test_the_time_of_a_record_is_utc(log: Path) -> None:
    record = logging.makeLogRecord({"created": 0.25, "msecs": 250.0, "msg": "then"})
    logging.getLogger().handlers[0].handle(record)
    assert log.read_text().startswith("1970-01-01T00:00:00.250Z ")


def test_ours_are_logged_from_info_and_libraries_from_warning(log: Path) -> None:
    for name in ("server.daemon", "storage.store", "templates.resolver", "mcp.server"):
        logging.getLogger(name).info("said by %s", name)
    logging.getLogger("mcp.server").warning("a warning")
    told = [line.split(": ", 1)[1] for line in log.read_text().splitlines()]
    assert told == [
        "said by server.daemon",
        "said by storage.store",
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
