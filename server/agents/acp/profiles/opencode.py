"""OpenCode."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path

from server.agents.acp.profile import Profile
from server.agents.installation import Installation, located, program
from server.errors import Code, RemitError
from server.limits import GIB

_PACKAGE = "opencode-ai"
_MACHINES = {"x86_64": "x64", "aarch64": "arm64"}

# It asks its own server over the loopback, which must not go through the sandbox's proxy: on an address of its own, so
# that a model on this machine is still reached the other way.
_ADDRESS = "127.0.0.2"

_LISTENS = (
    "it has to listen on the loopback, which it may in the namespaces tier of the sandbox, and in the landlock tier "
    'with network = "full"'
)

_PERMISSION = {"*": "ask", "read": "allow", "glob": "allow", "grep": "allow", "list": "allow", "todowrite": "allow"}


def _locate(command: Sequence[str]) -> Installation:
    """Find the binary: what its package puts on the PATH does nothing if npm was told to run no scripts."""
    found = program(command[0])
    if found.parents[1].name == _PACKAGE and not _is_binary(found):
        found = _binary(found.parents[2])
    return located(found, command[1:])


def _is_binary(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _binary(packages: Path) -> Path:
    machine = _MACHINES.get(platform.machine(), platform.machine())
    for variant in ("", "-baseline", "-musl", "-baseline-musl"):
        binary = packages / f"opencode-linux-{machine}{variant}" / "bin" / "opencode"
        if binary.is_file():
            return binary
    raise RemitError(Code.AGENT_UNAVAILABLE, f"{packages / _PACKAGE} has no binary for this machine beside it")


OPENCODE = Profile(
    id="opencode",
    description="OpenCode, an agent for the model of your choice; it works in the sandbox with its own tools.",
    command=("opencode", "acp", "--hostname", _ADDRESS),
    install="npm install -g opencode-ai",
    locate=_locate,
    steered_by=("OPENCODE*",),
    env={
        "NO_PROXY": _ADDRESS,
        "no_proxy": _ADDRESS,
        # Settings in the workspace would go over these.
        "OPENCODE_DISABLE_PROJECT_CONFIG": "1",
        "OPENCODE_PERMISSION": json.dumps(_PERMISSION),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_SHARE": "1",
    },
    keys={
        "ANTHROPIC_API_KEY": "api.anthropic.com",
        "OPENAI_API_KEY": "api.openai.com",
        "OPENROUTER_API_KEY": "openrouter.ai",
        "OPENCODE_API_KEY": "opencode.ai",
    },
    least_memory=4 * GIB,  # of which it takes 3.5 when it has nothing to do yet; with 2 it hangs
    advice={"ServeError": _LISTENS},
    is_set_up_by=("OPENCODE_CONFIG_CONTENT", "OPENCODE_CONFIG"),
    notes=(
        "It is made to ask before everything but reading and searching files; settings in the workspace are ignored.",
        "A call that is refused ends its turn; it is then told to go on without it.",
    ),
)
