"""Secrets of a command, which no other process can read."""

import os
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from server.tier_names import TierName
from tests.runner.commands import Request, perform

SECRET = "correct horse battery staple"
SCRIPT = "echo up; until [ -e searched ]; do :; done"


async def test_a_secret_is_in_no_command_line_and_in_no_environment_but_the_commands(
    tier: TierName, workspace: Path
) -> None:
    if tier == "landlock" and os.geteuid() == 0:
        pytest.skip("root may not use this tier; `off` has the same launcher and supervisor")
    everywhere: list[Place] = []

    async def search(_: bytes) -> None:
        everywhere.extend(await anyio.to_thread.run_sync(places_of, SECRET.encode()))
        (workspace / "searched").touch()

    argv = ("/bin/sh", "-c", SCRIPT)
    await perform(Request(tier=tier, argv=argv, workspace=str(workspace), env={"PASSWORD": SECRET}), search)
    assert [(place.file, SCRIPT in place.process) for place in everywhere] == [("environ", True)]


@dataclass(frozen=True)
class Place:
    """A file of a process in /proc, and the command line of that process."""

    file: str
    process: str


def places_of(secret: bytes) -> list[Place]:
    processes = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [
        Place(name, content(process / "cmdline").decode(errors="replace"))
        for process in processes
        for name in ("cmdline", "environ")
        if secret in content(process / name)
    ]


def content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
