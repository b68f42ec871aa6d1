"""REMIT_SERVER=inline: the server inside the window's own process, for places that forbid background processes.

The server has the main thread; the window is the usual pipe in another thread. They end together: a window that is done
sends the process SIGTERM, which the server obeys as always.
"""

import logging
import os
import queue
import signal
import threading
from types import FrameType

from server.daemon.handshake import Link, reach
from server.daemon.launch import RunServer, checked, claim
from server.daemon.ownership import Owned
from server.daemon.paths import find_state_paths
from server.errors import Code, RemitError
from server.pipe.host import HostStreams, say
from server.pipe.session import PipeSession

FAREWELL = 1.0  # seconds for the window to answer what the server leaves open

_log = logging.getLogger(__name__)

Answer = queue.SimpleQueue[Exception | None]
"""The main thread's reply whether a server listens: None, or the error why there is none."""


class InlineServer:
    """A server that runs in the main thread when the window asks for one and none listens."""

    def __init__(self, run_server: RunServer) -> None:
        self._run_server = run_server
        self._wanted: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()

    def reach(self) -> Link:
        """Return a link to the listening server; called by the window's thread. Raises RemitError if there is none."""
        answer: Answer = queue.SimpleQueue()
        self._wanted.put(answer)
        if failure := answer.get():
            raise failure
        link = reach(find_state_paths(), "connect", "pipe")
        if link is None:
            raise RemitError(Code.INTERRUPTED, "the server ended right after its start")
        return checked(link)

    def serve(self) -> None:
        """Make a server listen when one is requested; returns when one of this process has ended, or on `leave`."""
        is_over = False
        while not is_over and (answer := self._wanted.get()):
            try:
                is_over = self._provide(answer)
            except Owned:
                self._wanted.put(answer)  # another one was about to listen
            except Exception as error:
                answer.put(_told(error))

    def leave(self) -> None:
        """Make `serve` return if no server runs: the signal that ends one may come just before it starts waiting."""
        self._wanted.put(None)

    def close(self) -> None:
        """Refuse requests from now on."""
        threading.Thread(target=self._refuse, daemon=True).start()

    def _provide(self, answer: Answer) -> bool:
        """Make a server listen; returns whether it ran in this process, and has ended."""
        lock = claim(find_state_paths())
        if lock is None:
            answer.put(None)
            return False
        say("REMIT_SERVER=inline: the server runs inside this process, and its tasks end with this window")
        is_ready = False

        def ready() -> None:
            nonlocal is_ready
            is_ready = True
            lock.release()
            answer.put(None)

        try:
            self._run_server(ready, True)
        except Exception:
            if is_ready:
                _log.exception("the server ended by an error")
            raise
        finally:
            lock.release()
        return True

    def _refuse(self) -> None:
        while True:
            if answer := self._wanted.get():
                answer.put(RemitError(Code.INTERRUPTED, "the server of this window has ended"))


def serve_inline(run_server: RunServer) -> bool:
    """Run window and server until either is done; returns whether there was a server."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    host = HostStreams(*_taken_streams())
    server = InlineServer(run_server)
    session = PipeSession(host, server.reach)
    end = _End(server)

    def window() -> None:
        try:
            session.run()
        finally:
            end()

    host.watch(end)
    threading.Thread(target=window, daemon=True).start()
    try:
        server.serve()
    except SystemExit:
        return session.was_connected
    server.close()
    session.wait(FAREWELL)
    return session.was_connected


class _End:
    """Ends this process by SIGTERM; once, because a second signal would cut its end short."""

    def __init__(self, server: InlineServer) -> None:
        self._server = server
        self._unused = threading.Lock()

    def __call__(self) -> None:
        if self._unused.acquire(blocking=False):
            self._server.leave()
            os.kill(os.getpid(), signal.SIGTERM)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit


def _taken_streams() -> tuple[int, int]:
    """Return the host's two descriptors, moved out of reach of libraries that print and children that read."""
    stdin, stdout = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    try:
        os.dup2(2, 1)
    except OSError:
        os.dup2(null, 1)  # the host has closed standard error
    os.close(null)
    return stdin, stdout


def _told(error: Exception) -> RemitError:
    if isinstance(error, RemitError):
        return error
    return RemitError(Code.EXECUTION_ERROR, f"the server ended by an error: {error}")
