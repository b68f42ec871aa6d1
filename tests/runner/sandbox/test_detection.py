"""A sandbox is found by trying, and where there is none the reason helps."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server.errors import Code, RemitError
from server.runner import canary
from server.runner.detection import TIERS, find_sandbox
from server.runner.sandbox import Sandbox
from server.runner.tiers import landlock
from server.runner.tiers.bubblewrap import Namespaces
from server.runner.tiers.interpreter import Interpreter, find_interpreter
from server.runner.tiers.scratch import Scratch
from server.runner.tiers.supervised import Off
from server.tier_names import TIER_NAMES, TierName, Wanted
from tests.runner.commands import REPOSITORY, Request, elsewhere, surroundings

# In a user namespace of its own, where no further one may be made; started without the rights it has there.
NO_USER_NAMESPACES = (
    *("unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c"),
    'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps=-all --inh-caps=-all "$@"',
    "sh",
)


async def reason(wanted: Wanted) -> str:
    with pytest.raises(RemitError) as caught:
        await find_sandbox(wanted)
    assert caught.value.code == Code.SANDBOX_UNAVAILABLE
    return caught.value.message


async def test_a_sandbox_tells_its_tier_and_its_gaps(confining: TierName) -> None:
    if confining == "landlock" and os.geteuid() == 0:
        pytest.skip("root may not use this tier")
    found = await find_sandbox(confining)
    assert found.tier == confining
    assert any("kernel" in gap for gap in found.gaps)


def test_every_tier_can_be_found_and_the_strongest_is_looked_for_first() -> None:
    assert tuple(tier.name for tier in TIERS) == TIER_NAMES


async def test_no_sandbox_says_plainly_that_nothing_is_confined() -> None:
    assert "Nothing confines the command" in (await find_sandbox("off")).gaps[0]


@pytest.mark.namespaces
async def test_the_strongest_tier_is_taken_of_itself() -> None:
    assert (await find_sandbox()).tier == "namespaces"


async def test_a_missing_bubblewrap_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install bubblewrap" in await reason("namespaces")


async def test_root_is_refused_the_landlock_tier_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "ordinary user" in await reason("landlock")


async def test_a_landlock_that_does_not_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(landlock, "abi", lambda: landlock.OLDEST_ABI - 1)
    assert "Linux 6.2" in await reason("landlock")


async def test_with_neither_tier_every_reason_is_told_and_nothing_runs_unconfined(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    told = await reason("auto")
    assert "apt-get install bubblewrap" in told
    assert "Linux 6.2" in told


async def test_another_system_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert "not on Darwin" in await reason("auto")


async def test_a_machine_without_a_table_of_calls_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert "riscv64" in await reason("auto")


async def test_a_sandbox_that_holds_nothing_is_not_believed() -> None:
    interpreter = await find_interpreter()
    with pytest.raises(RemitError) as caught:
        await canary.examine(Sandbox(Off(interpreter=interpreter, scratch=Scratch())), interpreter)
    for claim in ("a file outside can be read", "a service of this machine can be reached", "calls are not filtered"):
        assert claim in caught.value.message


async def test_a_bubblewrap_that_vanished_is_named(tmp_path: Path) -> None:
    gone = Namespaces(
        bwrap=tmp_path / "bwrap",
        disables_userns=True,
        interpreter=await find_interpreter(),
        scratch=Scratch(),
        landlock_abi=0,
    )
    with pytest.raises(RemitError, match="bwrap cannot be started"):
        await canary.examine(Sandbox(gone), await find_interpreter())


async def test_without_bubblewrap_commands_run_in_the_landlock_tier(workspace: Path, tmp_path: Path) -> None:
    ran = tell(workspace, through=("/usr/bin/env", f"PATH={tmp_path}"))
    assert ran == [{"tier": "landlock"}, {"output": "ran\n"}]


async def test_without_user_namespaces_commands_run_in_the_landlock_tier(workspace: Path) -> None:
    ran = tell(workspace, through=NO_USER_NAMESPACES)
    assert ran == [{"tier": "landlock"}, {"output": "ran\n"}]


@pytest.mark.namespaces
async def test_without_user_namespaces_the_advice_is_to_allow_them(workspace: Path) -> None:
    (told,) = tell(workspace, "namespaces", through=NO_USER_NAMESPACES)
    assert "max_user_namespaces" in told["error"]["message"]


def tell(workspace: Path, tier: Wanted = "auto", *, through: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return what an ordinary user's program tells that runs `echo ran`, its end apart."""
    request = Request(tier=tier, argv=("/bin/echo", "ran"), workspace=str(workspace))
    done = subprocess.run(
        elsewhere(request, unprivileged=True, through=through),
        cwd=REPOSITORY,
        env=surroundings(),
        capture_output=True,
        check=True,
    )
    events: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    return [event for event in events if "exit" not in event]


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("bwrap: setting up uid map: Permission denied", "AppArmor"),
        ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", "AppArmor"),
        ("bwrap: No permissions to create new namespace, likely because the kernel does not allow", "user namespaces"),
        ("bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces", "user namespaces"),
        ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "systempaths=unconfined"),
        ("bwrap: Unknown option --size", "0.6"),
    ],
)
def test_what_bubblewrap_says_is_answered_with_what_to_do(words: str, advice: str, tmp_path: Path) -> None:
    tier = Namespaces(
        bwrap=tmp_path / "bwrap",
        disables_userns=True,
        interpreter=Interpreter(tmp_path),
        scratch=Scratch(),
        landlock_abi=0,
    )
    told = tier.explain(words)
    assert words in told
    assert advice in told
