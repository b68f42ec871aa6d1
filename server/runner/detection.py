"""The search for the strongest sandbox that works on this machine."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import anyio

from server.errors import RemitError
from server.runner import canary
from server.runner.cgroups.control_group import ControlGroups
from server.runner.cgroups.detection import find_groups
from server.runner.programs.copies import INSTALLED, Programs
from server.runner.sandbox import Sandbox, Tier, unavailable
from server.runner.tiers import seccomp
from server.runner.tiers.bubblewrap import Namespaces
from server.runner.tiers.interpreter import find_interpreter
from server.runner.tiers.scratch import Scratch
from server.runner.tiers.supervised import Landlock, Off
from server.tier_names import Wanted, confines

TIERS: tuple[type[Tier], ...] = (Namespaces, Landlock, Off)
"""Every tier, strongest first, as in `tier_names.TIER_NAMES`."""


class SandboxProvider:
    """The sandbox of this server, found at first use and kept.

    While none is found, every request searches again, so that installing bubblewrap takes effect without a restart.
    """

    def __init__(
        self,
        wanted: Wanted,
        scratch: Scratch,
        hidden: Sequence[Path],
        programs: Programs,
    ) -> None:
        """Create the provider. No command may see the `hidden` paths; `programs` are this server's own copies."""
        self._wanted = wanted
        self._scratch = scratch
        self._hidden = hidden
        self._programs = programs
        self._found: Sandbox | None = None
        self._looking = anyio.Lock()

    async def sandbox(self) -> Sandbox:
        """Return the sandbox. Raises RemitError (SANDBOX_UNAVAILABLE), which says what is missing and what to do."""
        if self._found is None:
            async with self._looking:
                return await self._look()
        return self._found

    async def _look(self) -> Sandbox:
        if self._found is None:
            self._found = await find_sandbox(self._wanted, self._scratch, self._hidden, self._programs)
        return self._found


async def find_sandbox(
    wanted: Wanted = "auto",
    scratch: Scratch | None = None,
    hidden: Sequence[Path] = (),
    programs: Programs = INSTALLED,
) -> Sandbox:
    """Return a sandbox of the first tier that passes the canary; `auto` tries those that confine, strongest first.

    A server passes the `scratch` that it sweeps at its start, its own files as `hidden` from all commands, and its own
    copy of the `programs`. `off` confines nothing, and `auto` never chooses it.

    Raises RemitError (SANDBOX_UNAVAILABLE): no tier works; names each tier that was tried, why it failed, what to do.
    """
    if platform.system() != "Linux":
        raise unavailable(f"tasks can be sandboxed on Linux only so far, not on {platform.system()}")
    found = await anyio.to_thread.run_sync(find_groups, scratch.root if scratch else None, programs)
    groups = found.in_one_hierarchy()
    reasons: dict[str, str] = {}
    for tier in (each for each in TIERS if each.name == wanted or (wanted == "auto" and confines(each.name))):
        try:
            return await _try(tier, scratch or Scratch(), groups, hidden, programs)
        except RemitError as error:
            reasons[tier.name] = error.message
    raise unavailable("; ".join(f"{name}: {reason}" for name, reason in reasons.items()), reasons=reasons)


async def _try(
    tier: type[Tier], scratch: Scratch, groups: ControlGroups, hidden: Sequence[Path], programs: Programs
) -> Sandbox:
    interpreter = await find_interpreter()
    if confines(tier.name) and not seccomp.is_supported():
        raise unavailable(f"the system calls of this machine, {platform.machine()}, are not known to remit")
    if tier.refuses_root and os.geteuid() == 0:
        raise unavailable(tier.refuses_root)
    sandbox = Sandbox(await tier.find(interpreter, scratch, programs), groups, hidden)
    if confines(tier.name):
        await canary.examine(sandbox, interpreter)
    return sandbox
