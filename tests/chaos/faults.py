"""Faults: each is done to a site while its users are at work, and is over when its function returns."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from tests import servers
from tests.chaos.processes import becomes
from tests.chaos.site import Site, faketime, may_mount, strace
from tests.chaos.window import Window

WRITES = "pwrite64,fdatasync,fsync,ftruncate"
"""The system calls by which SQLite writes."""

CALLS = ("pwrite64", "fdatasync", "openat", "unlink", "rename", "mkdir", "sendto", "close", "vfork,clone,clone3")
"""The kinds of system calls of which the server does not survive the n-th."""

CALL_SECONDS = 5.0
"""Seconds that the n-th call is waited for."""

LONG = 12.0
"""Seconds: more than a server may take for granted that a bad disk gets well."""

AHEAD = "+400d"
"""How far the clock of a server is ahead of the right one: more than history is kept."""

Fault = Callable[[Site], Awaitable[None]]


async def killed(site: Site) -> None:
    """Kill the server at any moment."""
    site.signal_server(signal.SIGKILL)


async def killed_at_an_answer(site: Site) -> None:
    """Kill the server at the moment at which it has acknowledged something."""
    site.kills_at_answer = True


async def killed_while_stopping(site: Site) -> None:
    """Ask the server to end, and kill it before it has."""
    if site.signal_server(signal.SIGTERM):
        await anyio.sleep(site.random.uniform(0, 0.3))
        site.signal_server(signal.SIGKILL)


async def killed_at_a_call(site: Site) -> None:
    """Kill the server at the n-th system call of a kind."""
    kind, number = site.random.choice(CALLS), site.random.randint(1, 30)
    async with injected(site.home, kind, f"signal=KILL:when={number}") as tracer:
        site.kills += await becomes(lambda: tracer.poll() is not None, CALL_SECONDS)


async def killed_as_it_starts(site: Site) -> None:
    """Kill the server, and the window that starts the next one."""
    site.signal_server(signal.SIGKILL)
    starter = await Window.open(site.launcher, site.home, lambda _: None)
    await anyio.sleep(site.random.uniform(0.1, 0.7))
    starter.kill()
    await starter.aclose()


async def stopped(site: Site) -> None:
    """Stop the server for a while."""
    site.signal_server(signal.SIGSTOP)
    await anyio.sleep(site.random.uniform(0.2, 3))
    site.signal_server(signal.SIGCONT)


async def writing_fails(site: Site) -> None:
    """Make all writes of the server fail for a while."""
    async with injected(site.home, WRITES, "error=EIO"):
        await anyio.sleep(_while(site))


async def disk_full(site: Site) -> None:
    """Fill the disk of the state folder for a while."""
    ballast = site.home.parent / "ballast"
    try:
        await to_thread.run_sync(_fill, ballast)
        await anyio.sleep(_while(site))
    finally:
        ballast.unlink(missing_ok=True)


async def half_messages(site: Site) -> None:
    """Somebody connects to the socket, says a part of something, and leaves or stays a while."""
    said = site.random.choice([b"", b'{"remit": {"proto', b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100_000, b"{}\n" * 100])
    with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
        connection.settimeout(1)
        connection.connect(str(site.home / "remit.sock"))
        connection.sendall(said)
        await anyio.sleep(site.random.uniform(0, 1))


async def window_killed(site: Site) -> None:
    """Kill a window in the middle of whatever it does."""
    if there := [window for window in site.windows if not window.is_gone]:
        site.random.choice(there).kill()


async def socket_lost(site: Site) -> None:
    """Somebody deletes the socket: the server makes it anew."""
    (site.home / "remit.sock").unlink(missing_ok=True)


async def clock_ahead(site: Site) -> None:
    """Run a server for some seconds with a clock that is far ahead."""
    if program := faketime():
        site.signal_server(signal.SIGKILL)
        command = [program, "-f", "--exclude-monotonic", AHEAD, sys.executable, "-P", str(site.launcher), "serve"]
        server = await to_thread.run_sync(_serve, site, command)
        try:
            await anyio.sleep(site.random.uniform(2, 4))
        finally:
            site.signal_server(signal.SIGKILL)
            server.wait()


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        killed,
        killed_at_an_answer,
        killed_while_stopping,
        killed_at_a_call,
        killed_as_it_starts,
        stopped,
        writing_fails,
        disk_full,
        half_messages,
        window_killed,
        socket_lost,
        clock_ahead,
    )
}

_NEEDS: dict[str, Callable[[], object]] = {
    "killed_at_a_call": strace,
    "writing_fails": strace,
    "disk_full": may_mount,
    "clock_ahead": faketime,
}


def possible() -> list[str]:
    """Return the faults that can be done on this machine by this user."""
    return [name for name in FAULTS if name not in _NEEDS or _NEEDS[name]()]


def _while(site: Site) -> float:
    """Seconds that a disk is bad: mostly short, now and then longer than anybody is patient."""
    return LONG if site.random.random() < 0.2 else site.random.uniform(0.2, 3)


def _fill(ballast: Path) -> None:
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024**2))


def _serve(site: Site, command: list[str]) -> "subprocess.Popen[bytes]":
    """Return a server that listens, started as windows start one."""
    with (site.home / "start.lock").open("w") as lock, (site.home / "server.log").open("ab") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = subprocess.Popen(
            command,
            cwd="/",
            env=servers.environment(site.home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        assert server.stdout
        server.stdout.readline()
        server.stdout.close()
    return server


@asynccontextmanager
async def injected(home: Path, calls: str, what: str) -> "AsyncIterator[subprocess.Popen[bytes]]":
    """Inject a fault into these system calls of the server's threads, but not of the processes it has started."""
    tracer = await to_thread.run_sync(_trace, home, calls, what)
    try:
        yield tracer
    finally:
        tracer.terminate()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(partial(tracer.wait, timeout=10))


def _trace(home: Path, calls: str, what: str) -> "subprocess.Popen[bytes]":
    threads = [f"-p{entry.name}" for pid in servers.servers(home) for entry in Path(f"/proc/{pid}/task").iterdir()]
    injection = ["-qq", "-o", os.devnull, "-e", f"trace={calls}", "-e", f"inject={calls}:{what}"]
    program = strace()
    command = [program, *injection, *threads] if program and threads else ["true"]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)
