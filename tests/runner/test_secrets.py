"""What a command is given stays with it."""

import os
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from server.runner.sandbox import Name
from tests.runner.commands import Request, perform

SECRET = "correct horse battery staple"
SCRIPT = "echo up; until [ -e searched ]; do :; done"


async def test_a_secret_is_in_no_command_line_and_in_no_environment_but_the_commands(
    tier: Name, workspace: Path
) -> None:
    if tier == "landlock" and os.geteuid() == 0:
        pytest.skip("root may not use this tier; `off` has the same launcher and supervisor")
    found: list[str] = []

    async def search(_: bytes) -> None:
        found.extend(await anyio.to_thread.run_sync(places_of, SECRET.encode(), SCRIPT.encode()))
        (workspace / "searched").touch()

    argv = ("/bin/sh", "-c", SCRIPT)
    await perform(Request(tier=tier, argv=argv, workspace=str(workspace), env={"PASSWORD": SECRET}), search)
    assert (workspace / "searched").exists()
    assert found == []


def places_of(secret: bytes, command: bytes) -> Iterator[str]:
    """Where it can be read in /proc, the environment of that command apart."""
    for process in filter(lambda entry: entry.name.isdigit(), Path("/proc").iterdir()):
        line = content(process / "cmdline")
        if secret in line or (secret in content(process / "environ") and command not in line):
            yield f"{process}: {line.decode(errors='replace')}"


def content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
