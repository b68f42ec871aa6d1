"""Starting a server: found, started detached, replaced if it is older, or run inside this process.

Standard library only: the pipe imports this. A starting process holds the lock `start.lock` until its server listens,
so that of twenty clients that come at once, one starts it and the others find it.
"""

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from io import FileIO
from types import FrameType

from server.daemon.handshake import PROTOCOL, Greeting, Link, reach
from server.daemon.ownership import Owned, owner
from server.daemon.paths import StatePaths, settings_digest
from server.errors import Code, RemitError, innermost
from server.version import LAUNCHER, VERSION

POLL = 0.05
"""Seconds between two checks for a server that is about to listen, or to end."""

PATIENCE = 30.0
"""Seconds for finding, replacing and starting in all; a start takes about 1 s, and hosts give a server 10 to 60 s."""

AFTERMATH = (
    "Tasks that were in the middle of a call end as failed (INTERRUPTED); others go on when the next server starts,"
    " which the next call does"
)
"""What happens to tasks when a server ends."""

RunServer = Callable[[Callable[[], None], bool], None]
"""Runs the server until it ends; takes what to call once it listens, and whether the process is a window too."""

KEPT = frozenset("PATH HOME USER LOGNAME LANG TZ TMPDIR DBUS_SESSION_BUS_ADDRESS SSL_CERT_FILE SSL_CERT_DIR".split())
KEPT_PREFIXES = ("LC_", "XDG_", "REMIT_")


def connect(role: str, paths: StatePaths) -> Link:
    """Return a link to the server of the state folder, started if there is none. Call it from the main thread.

    An older server that is idle is replaced; a busy one is used.

    Raises:
        RemitError: why there is no server to connect to.
    """
    paths.prepare()
    with Deadline(PATIENCE, lambda: unanswered(paths, f"did not get ready within {PATIENCE:.0f} s")):
        link = reach(paths, "connect", role)
        if link is not None and _gives_way(link):
            link.leave()
            link = None
        if link is None:
            with StartLock(paths):
                link = _reach_or_start(paths, role)
    return checked(link)


def checked(link: Link) -> Link:
    """Return the link if its server speaks our protocol. Raises RemitError (CONFLICT) and closes the link otherwise."""
    if link.greeting.protocol != PROTOCOL:
        link.close()
        raise RemitError(
            Code.CONFLICT,
            f"the running server, version {link.greeting.version}, speaks another protocol than this remit,"
            f" version {VERSION}; end it with `remit server stop`, then start again",
        )
    return link


def notices(greeting: Greeting) -> list[str]:
    """Return what a person should know about the server that was found, one sentence each."""
    said = []
    if _release(greeting.version) < _release(VERSION):
        said.append(
            f"the running server is version {greeting.version} and in use, so it was not replaced by this"
            f" version {VERSION}; `remit server stop` ends it"
        )
    if greeting.settings != settings_digest():
        said.append(
            "the running server was started with other REMIT_* settings, and those hold until it is ended"
            " with `remit server stop`; of yours only a stricter REMIT_APPROVALS or REMIT_ALWAYS holds"
        )
    return said


def unanswered(paths: StatePaths, what: str) -> str:
    """Return the message that a server has not done something in time, and what its user can do."""
    if found := owner(paths):
        by_force = f"the server {what} (pid {found.pid}): `remit server stop --force` ends it; its log is {paths.log}"
        return found.upkeep or by_force
    return f"the server {what}; its log is {paths.log}"


def serve(run_server: RunServer) -> int:
    """Run the server in this process; writes one line of JSON to standard output about its start.

    Returns the exit status.
    """
    announcement = FileIO(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not be taken for the announcement
    try:
        run_server(lambda: _announce(announcement, {"ready": True}), False)
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
        cause = innermost(error)
        report = {"code": _code(cause), "message": _words(cause), "owned": isinstance(cause, Owned)}
        _announce(announcement, report)
        return 1
    return 0


def claim(paths: StatePaths) -> "StartLock | None":
    """Acquire the lock that a starting process must hold until its server listens; None if a server listens already.

    Raises:
        RemitError: the state folder did not become free.
    """
    paths.prepare()
    lock = StartLock(paths)
    try:
        with Deadline(PATIENCE, lambda: unanswered(paths, f"neither answered nor ended within {PATIENCE:.0f} s")):
            lock.acquire()
            while (link := reach(paths, "status", "pipe")) is None:
                if owner(paths) is None:
                    return lock
                time.sleep(POLL)
    except BaseException:
        lock.release()
        raise
    link.close()
    lock.release()
    return None


class StartLock:
    """The exclusive flock on `start.lock`, held inside the `with` or from `acquire` to `release`."""

    def __init__(self, paths: StatePaths) -> None:
        self._paths = paths
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Wait for the lock. Raises RemitError (FORBIDDEN) where its file cannot be made."""
        try:
            descriptor = os.open(self._paths.start_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._paths.unusable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Deadline:
    """A time limit: raises `TIMEOUT` in the main thread after `seconds`, since waiting for an flock has no limit.

    `message` is called when the time is over.
    """

    def __init__(self, seconds: float, message: Callable[[], str]) -> None:
        self._seconds = seconds
        self._message = message

    def __enter__(self) -> None:
        self._former = signal.signal(signal.SIGALRM, self._expire)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._former)

    def _expire(self, _signal: int, _frame: FrameType | None) -> None:
        raise RemitError(Code.TIMEOUT, self._message())


def _reach_or_start(paths: StatePaths, role: str) -> Link:
    """Return a link, whichever process starts the server: a former lock holder may have been killed meanwhile."""
    while True:
        link = reach(paths, "connect", role)
        if link is not None and _gives_way(link) and _ended(paths, role):
            link.close()
            link = None
        if link is not None:
            return link
        if owner(paths) is None and _started(paths):
            return _reached(paths, role)
        time.sleep(POLL)  # an owner that does not listen is about to, or about to end


def _reached(paths: StatePaths, role: str) -> Link:
    link = reach(paths, "connect", role)
    if link is None:
        raise RemitError(Code.INTERRUPTED, f"the server ended right after its start; its log is {paths.log}")
    return link


def _gives_way(link: Link) -> bool:
    older = _release(link.greeting.version) < _release(VERSION)
    return older and not link.greeting.busy and not link.greeting.connections


def _ended(paths: StatePaths, role: str) -> bool:
    try:
        if link := reach(paths, "stop", role):
            link.close()
    except RemitError:
        return False  # it got busy meanwhile
    return True


def _started(paths: StatePaths) -> bool:
    """Start a server; returns False if another one was first. Raises RemitError with the reason if it cannot start."""
    with os.fdopen(_spawn(paths), "rb") as announcement:
        line = announcement.readline()
    if not line:
        raise RemitError(Code.INTERRUPTED, f"the server ended while it started; its log is {paths.log}")
    report = json.loads(line)
    if "ready" not in report and not report["owned"]:
        raise RemitError.of_facts(report["code"], f"the server could not start: {report['message']}")
    return "ready" in report


def _spawn(paths: StatePaths) -> int:
    """Start a server detached from our terminal, session and descriptors.

    Returns the pipe that it announces itself on.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                _become_server(paths, writer)
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    return reader


def _become_server(paths: StatePaths, announcement: int) -> None:
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(paths.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for descriptor, standard in ((null, 0), (announcement, 1), (log, 2)):
        os.dup2(descriptor, standard)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.execve(sys.executable, [sys.executable, "-P", LAUNCHER, "serve"], _environment(paths))  # noqa: S606


def _environment(paths: StatePaths) -> dict[str, str]:
    """Return the variables that the server needs; paths are absolute, because its working directory is `/`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if (name in KEPT or name.startswith(KEPT_PREFIXES)) and name != "REMIT_SERVER"
    }
    kept["REMIT_HOME"] = paths.state
    if kept.get("REMIT_CONFIG"):
        kept["REMIT_CONFIG"] = paths.config
    return kept


def _announce(announcement: FileIO, report: dict[str, object]) -> None:
    if announcement.closed:
        return  # the start went well; what came later is in the log
    try:
        with announcement:
            announcement.write(json.dumps(report).encode() + b"\n")
    except BrokenPipeError:
        return  # the process that started us is gone; the next one finds us


def _code(error: BaseException) -> str:
    return error.code if isinstance(error, RemitError) else Code.EXECUTION_ERROR


def _words(error: BaseException) -> str:
    if isinstance(error, RemitError):
        return error.message
    first_line = str(error).partition("\n")[0]  # further ones may quote settings
    return f"{type(error).__name__}: {first_line}"


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version such as 0.12.0, for comparison."""
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
