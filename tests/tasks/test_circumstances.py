"""How circumstances are told apart."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from server.runner.policy import Limits, SandboxPolicy
from server.tasks.circumstances import circumstances
from storage.records import Claim
from storage.store import open_store
from storage.toolcalls import Circumstances
from storage.workspace import Workspace
from tests.storage.samples import claimed

POLICY = SandboxPolicy(workspace=Path("/w"))


@pytest.fixture
async def claim(tmp_path: Path) -> AsyncIterator[Claim]:
    """A run of a task with a variable."""
    async with open_store(tmp_path / "remit.db") as store:
        yield await claimed(store, env={"A": "1"})


def of(claim: Claim, policy: SandboxPolicy = POLICY) -> Circumstances:
    """Those of its calls."""
    return circumstances(claim, {}, policy, "namespaces")


async def test_they_do_not_differ_from_themselves(claim: Claim) -> None:
    known = of(claim)
    assert (known.digest, known.differ(known.content)) == (of(claim).digest, [])


async def test_what_an_earlier_version_has_not_noted_was_unknown(claim: Claim) -> None:
    differs = of(claim).differ({})
    assert {"the variable A is new: 1", "the network was: unknown, and is now: none"} <= set(differs)


@pytest.mark.parametrize(
    ("policy", "differs"),
    [
        (replace(POLICY, network="full"), "the network was: none, and is now: full"),
        (replace(POLICY, network=("a", "b")), "the network was: none, and is now: a, b"),
        (replace(POLICY, hooks="writable"), "the access to hooks was: read-only, and is now: writable"),
        (replace(POLICY, readable=(Path("/r"),)), "the readable path was: /w, and is now: /w:/r"),
        (replace(POLICY, limits=Limits(cpu_seconds=7)), "the limit of cpu seconds was 3600, and is now 7"),
    ],
)
async def test_each_part_of_the_sandbox_counts(claim: Claim, policy: SandboxPolicy, differs: str) -> None:
    before, now = of(claim), of(claim, policy)
    assert before.digest != now.digest
    assert now.differ(before.content) == [differs]


async def test_the_folder_and_its_mode_count(claim: Claim) -> None:
    folder = Workspace(mode="readonly", path="/w", shared=False, reaches=())
    before, now = (of(replace(claim, workspace=each)) for each in (folder, replace(folder, mode="readwrite")))
    assert before.digest != now.digest
    assert now.differ(before.content) == ["the folder was: /w (readonly), and is now: /w (readwrite)"]
