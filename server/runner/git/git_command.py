"""Git commands that the server itself runs, outside a sandbox, on repositories that others write.

Git executes nothing that a repository names. A repository cannot make it run or grow for ever: it is killed after some
seconds, when the caller is cancelled, and when it exceeds its memory limit.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from resource import RLIMIT_CORE, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, prlimit
from select import POLLIN, poll
from subprocess import DEVNULL, Popen
from time import monotonic

import anyio

from server.runner.host_paths import SEARCH_PATH

MOST_MEMORY = 512 * 1024**2
"""Bytes of private memory: about a hundred times what these commands need in a large repository."""

MOST_SAID = 1024**2
"""Bytes of stdout and of stderr each."""

MOST_CPU = 60
"""Seconds of processor time, in case the server is killed before git ends."""

ENVIRONMENT = {
    "PATH": SEARCH_PATH,
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # for versions that do not know the former; no setting of a repository lifts it
}

SETTINGS = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0", "index.threads=1")
"""Settings that override those of the user's repository.

With index.threads, a repository could make git start a thread for each entry of the index, beyond its memory limit.
"""

_LIMITS = {RLIMIT_DATA: MOST_MEMORY, RLIMIT_FSIZE: MOST_SAID, RLIMIT_CPU: MOST_CPU, RLIMIT_CORE: 0}


@dataclass(frozen=True, slots=True)
class GitAnswer:
    """Git's exit status (negative: killed by that signal), stdout and stderr."""

    status: int
    said: str
    complaint: str


class GitFailed(Exception):
    """Git is not installed, failed, or exceeded its time."""


async def ask(folder: Path, *arguments: str) -> GitAnswer:
    """Run git in a folder, and return its outcome. It is killed when this is cancelled. Raises OSError."""
    with _memory() as said, _memory() as complaint:
        status = await _ended(_start(folder, arguments, said, complaint))
        return GitAnswer(status, _read(said), _read(complaint))


def read(folder: Path, *arguments: str, seconds: float) -> Iterator[bytes]:
    """Run git in a folder, and yield its stdout in chunks, for `seconds` at most. Blocks. Raises GitFailed."""
    until = monotonic() + seconds
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as said:
        try:
            process = _start(folder, arguments, writing, DEVNULL)
        except OSError:
            raise GitFailed from None
        finally:
            os.close(writing)
        try:
            while _is_readable(said.fileno(), until) and (piece := said.read(MOST_SAID)):
                yield piece
            with open(os.pidfd_open(process.pid), "rb", buffering=0) as ended:
                _is_readable(ended.fileno(), until)
        finally:
            _end(process)
    if process.returncode:
        raise GitFailed


def _is_readable(file: int, until: float) -> bool:
    """Wait until a descriptor is readable or at its end; return False at the time `until` (monotonic)."""
    readable = poll()
    readable.register(file, POLLIN)
    return bool(readable.poll(max(until - monotonic(), 0) * 1000))


def _start(folder: Path, arguments: tuple[str, ...], said: int, complaint: int) -> "Popen[bytes]":
    options = [part for setting in SETTINGS for part in ("-c", setting)]
    argv = ("git", *options, "-C", str(folder), *arguments)
    process = Popen(
        argv, env=ENVIRONMENT, cwd="/", stdin=DEVNULL, stdout=said, stderr=complaint, start_new_session=True
    )
    with suppress(ProcessLookupError):  # it has ended
        for kind, most in _LIMITS.items():
            prlimit(process.pid, kind, (most, most))
    return process


async def _ended(process: "Popen[bytes]") -> int:
    ended = os.pidfd_open(process.pid)
    try:
        await anyio.wait_readable(ended)
    finally:
        os.close(ended)
        _end(process)
    return process.returncode


def _end(process: "Popen[bytes]") -> None:
    """Kill git and all processes of its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
    process.wait()


@contextmanager
def _memory() -> Iterator[int]:
    """Yield the descriptor of a file in memory."""
    file = os.memfd_create("git", os.MFD_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def _read(file: int) -> str:
    return os.pread(file, MOST_SAID, 0).decode("utf-8", errors="surrogateescape")
