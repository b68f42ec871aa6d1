"""Git as the server itself starts it, outside a sandbox: it looks at repositories that others write.

It executes nothing that a repository names, and a repository cannot make it wait or grow without end: it is killed
after some seconds, when whoever asked is cancelled, and when it takes more memory than such a look does.
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
"""Bytes of private memory: some hundred times what these questions take in a large repository."""

MOST_SAID = 1024**2
"""Bytes of each of its outputs: paths, and complaints about settings."""

MOST_CPU = 60
"""Seconds of processor time, should the server be killed before git ends."""

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
"""That git has of us in a repository of the user's, whatever its own are.

Of an index, a repository may have git read each entry in a thread of its own, which takes more memory than git has.
"""

_LIMITS = {RLIMIT_DATA: MOST_MEMORY, RLIMIT_FSIZE: MOST_SAID, RLIMIT_CPU: MOST_CPU, RLIMIT_CORE: 0}


@dataclass(frozen=True, slots=True)
class GitAnswer:
    """What git said to a question, and its exit status; negative where a signal ended it."""

    status: int
    said: str
    complaint: str


class GitFailed(Exception):
    """Git is not there, failed, or took longer than it may."""


async def ask(folder: Path, *arguments: str) -> GitAnswer:
    """Run git in a folder to its end; it is killed when this is cancelled."""
    with _memory() as said, _memory() as complaint:
        status = await _ended(_start(folder, arguments, said, complaint))
        return GitAnswer(status, _read(said), _read(complaint))


def read(folder: Path, *arguments: str, seconds: float) -> Iterator[bytes]:
    """Run git in a folder, and read what it says in pieces, `seconds` at most. Blocks. Raises Unanswered."""
    until = monotonic() + seconds
    ours, theirs = os.pipe()
    with open(ours, "rb", buffering=0) as said:
        try:
            process = _start(folder, arguments, theirs, DEVNULL)
        except OSError:
            raise GitFailed from None
        finally:
            os.close(theirs)
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
    """Whether there is something to read, or the end, before a time."""
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
    """End git and all it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # not waited for yet, so the number is still its own
    process.wait()


@contextmanager
def _memory() -> Iterator[int]:
    """A file in memory."""
    file = os.memfd_create("git", os.MFD_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def _read(file: int) -> str:
    return os.pread(file, MOST_SAID, 0).decode("utf-8", errors="surrogateescape")
