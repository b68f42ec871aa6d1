"""A sandbox is believed when something was run in it that tried to get out."""

import socket
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio

from server.errors import Code, RemitError
from server.runner.policy import Command, Limits, SandboxPolicy
from server.runner.process import ProcessMark
from server.runner.tiers.interpreter import Interpreter

if TYPE_CHECKING:
    from server.runner.sandbox import Sandbox

DEADLINE_SECONDS = 10.0  # far beyond the 50 ms it takes: this is for machines that hang

_PROBE = Path(__file__).with_name("programs").joinpath("probe.py").read_text()


async def examine(sandbox: "Sandbox", interpreter: Interpreter) -> None:
    """Raise SANDBOX_UNAVAILABLE, naming what does not hold, unless the sandbox keeps a probe in."""
    with (
        TemporaryDirectory(prefix="remit-canary-") as folder,
        closing(socket.create_server(("127.0.0.1", 0))) as service,
    ):
        outside, workspace = _lay_out(Path(folder))
        command = (*interpreter.command("-c"), _PROBE, str(outside), str(service.getsockname()[1]))
        limits = Limits(free_bytes=0)  # a full disk says nothing of the sandbox; tasks wait for room, where it is found
        policy = SandboxPolicy(workspace=workspace, limits=limits)
        said = await _run(sandbox, Command(argv=command, env={}), policy)
    if said != "done":
        what = said.removesuffix("done").strip().replace("\n", ", ") or "its canary did not come back"
        raise RemitError(Code.SANDBOX_UNAVAILABLE, f"the sandbox does not hold: {what}")


def _lay_out(folder: Path) -> tuple[Path, Path]:
    outside, workspace = folder / "outside", folder / "workspace"
    outside.write_text("not to be read")
    workspace.mkdir()
    return outside, workspace


async def _run(sandbox: "Sandbox", command: Command, policy: SandboxPolicy) -> str:
    said = bytearray()

    async def started(_: ProcessMark) -> None:
        """Nothing is kept of a canary."""

    async def output(chunk: bytes) -> None:
        said.extend(chunk)

    with anyio.move_on_after(DEADLINE_SECONDS):
        await sandbox.run(command, policy, started=started, output=output)
    return said.decode(errors="replace").strip()
