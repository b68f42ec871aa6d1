"""A campaign: users at work, faults one after the other, and then everything that has to hold."""

import base64
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import anyio
from anyio import to_thread

from tests import servers
from tests.chaos import checks, processes
from tests.chaos.faults import FAULTS
from tests.chaos.journal import Journal
from tests.chaos.orders import NAMED, Orders, Scene
from tests.chaos.site import Site, disk
from tests.chaos.users import User
from tests.chaos.window import Window

USERS = 4

SETTINGS = f"""
workspaces = ["{{folder}}"]
[secrets.{NAMED}]
file = "{{folder}}/secret"
[limits]
free_space = "1MiB"
"""
"""The disk is small, and has to be filled before anything is refused for it."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a campaign."""

    seed: int
    kills: int
    done: Counter[str]
    """How often each fault was done."""

    journal: Journal

    def lines(self) -> Iterator[str]:
        """Yield the report for a person."""
        yield f"seed {self.seed}: {self.kills} kills; {_counted(self.done)}"
        yield f"users: {_counted(self.journal.counts)}"
        yield from (f"FAULT {fault} ({count})" for fault, count in self.journal.faults.items())

    @property
    def kinds(self) -> set[str]:
        """The kinds of the faults that were found."""
        return {fault.partition(":")[0] for fault in self.journal.faults}


def run(
    folder: Path, seed: int, seconds: float, *, launcher: Path = servers.LAUNCHER, faults: Sequence[str] = tuple(FAULTS)
) -> Report:
    """Run a campaign of so many seconds in an empty folder; the same seed means the same requests and faults."""
    with disk(folder / "disk", seconds) as ground:
        campaign = Campaign(ground / "state", seed, launcher, faults)
        try:
            return anyio.run(campaign.run, seconds)
        finally:
            campaign.clear_away()


class Campaign:
    """One campaign."""

    def __init__(self, home: Path, seed: int, launcher: Path, faults: Sequence[str]) -> None:
        self._seed = seed
        self._faults = faults
        self._random = Random(seed)
        self._site = Site(home, launcher, self._random)
        secrets = {name: f"canary-{name}-{self._random.getrandbits(64):x}" for name in ("typed", "named")}
        self._scene = Scene(home.parent / "project", secrets["typed"], f"1{time.monotonic_ns() % 10**9:09}")
        self._canaries = [form for secret in secrets.values() for form in _forms(secret.encode())]
        self._journal = Journal(self._canaries)
        self._done: Counter[str] = Counter()
        _prepare(home.parent, self._scene.project, secrets["named"])

    async def run(self, seconds: float) -> Report:
        """Let the users work and the faults happen, wait for the end of everything, and check the result."""
        users = [self._user(number) for number in range(1, USERS + 1)]
        async with anyio.create_task_group() as self._listening:
            async with anyio.create_task_group() as working:
                for user in users:
                    working.start_soon(user.work)
                with anyio.move_on_after(seconds):
                    await self._disturb()
                working.cancel_scope.cancel()
            await self._conclude(users)
            for window in self._site.windows:
                await window.aclose()
        await to_thread.run_sync(self._check)
        return Report(self._seed, self._site.kills, self._done, self._journal)

    def clear_away(self) -> None:
        """End what a server that is at fault has left."""
        for pid in (*servers.servers(self._site.home), *processes.alive(self._scene.hours)):
            servers.end(pid, signal.SIGKILL)

    def _user(self, number: int) -> User:
        random = Random(f"{self._seed}.{number}")
        return User(number, Orders(number, self._scene, random), self._journal, self._open_window, random)

    async def _open_window(self) -> Window:
        window = await Window.open(self._site.launcher, self._site.home, self._hear)
        self._site.windows.append(window)
        self._listening.start_soon(window.listen)
        return window

    def _hear(self, line: bytes) -> None:
        self._site.answered()
        self._journal.heard(line)

    async def _disturb(self) -> None:
        """Do each of the faults, in another order each time."""
        while True:
            for name in self._random.sample(self._faults, len(self._faults)):
                await self._site.answers(self._random.randint(1, 60))
                await anyio.sleep(self._random.uniform(0, 0.2))
                await FAULTS[name](self._site)
                self._done[name] += 1

    async def _conclude(self, users: Sequence[User]) -> None:
        """End everything that is still open."""
        self._site.kills_at_answer = False
        self._site.signal_server(signal.SIGCONT)
        async with anyio.create_task_group() as concluding:
            for user in users:
                concluding.start_soon(user.conclude)

    def _check(self) -> None:
        self._site.signal_server(signal.SIGTERM)
        for pid in servers.servers(self._site.home):
            with suppress(AssertionError):
                servers.wait(pid)
        checks.check(self._site.home, self._scene, self._journal, self._canaries)


def _prepare(folder: Path, project: Path, secret: str) -> None:
    """Make a git repository, and write the settings of the server."""
    project.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *identity, "commit", "-qm", "begun", "--allow-empty"], cwd=project, check=True)
    (folder / "secret").write_text(secret)
    (folder / "remit.toml").write_text(SETTINGS.format(folder=folder))


def _forms(secret: bytes) -> list[bytes]:
    return [secret, base64.b64encode(secret).rstrip(b"="), secret.hex().encode()]


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
