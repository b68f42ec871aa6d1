"""The canary: a probe that tries to break out of a sandbox before the sandbox is used."""

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

DEADLINE_SECONDS = 10.0  # the probe takes about 50 ms; the rest is for overloaded machines

_PROBE = Path(__file__).with_name("programs").joinpath("probe.py").read_text()


async def examine(sandbox: "Sandbox", interpreter: Interpreter) -> None:
    """Run the probe in the sandbox. Raises RemitError (SANDBOX_UNAVAILABLE) that names each thing it could do."""
    with (
        TemporaryDirectory(prefix="remit-canary-") as folder,
        closing(socket.create_server(("127.0.0.1", 0))) as service,
    ):
        outside, workspace = _lay_out(Path(folder))
        command = (*interpreter.command("-c"), _PROBE, str(outside), str(service.getsockname()[1]))
        limits = Limits(free_bytes=0)  # a full disk is no fault of the sandbox; tasks wait for free space themselves
        policy = SandboxPolicy(workspace=workspace, limits=limits)
        output = await _run(sandbox, Command(argv=command, env={}), policy)
    if output != "done":
        what = output.removesuffix("done").strip().replace("\n", ", ") or "its canary did not come back"
        raise RemitError(Code.SANDBOX_UNAVAILABLE, f"the sandbox does not hold: {what}")


def _lay_out(folder: Path) -> tuple[Path, Path]:
    outside, workspace = folder / "outside", folder / "workspace"
    outside.write_text("not to be read")
    workspace.mkdir()
    return outside, workspace


async def _run(sandbox: "Sandbox", command: Command, policy: SandboxPolicy) -> str:
    received = bytearray()

    async def started(_: ProcessMark) -> None:
        """Record nothing: a leftover probe is harmless."""

    async def output(chunk: bytes) -> None:
        received.extend(chunk)

    with anyio.move_on_after(DEADLINE_SECONDS):
        await sandbox.run(command, policy, started=started, output=output)
    return received.decode(errors="replace").strip()
