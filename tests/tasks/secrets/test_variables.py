"""Masking of a run's output, as its secrets become known."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from server.tasks.secrets.variables import Variables
from server.tasks.secrets.vault import SecretVault
from storage.sqlite.store import open_store
from tests.bounds import unstalled
from tests.storage.samples import claimed

MANY = {f"S{number}": sha256(bytes(number)).hexdigest()[:20] for number in range(3000)}
SEVENTH = MANY["S7"]

PATIENCE = 20
"""Seconds: far above what it takes."""

Ready = tuple[Variables, SecretVault]
"""The variables of a run, whose turn has many secrets, and the memory that these are in; it shares with `lender`."""


@pytest.fixture
async def ready(tmp_path: Path) -> AsyncIterator[Ready]:
    async with open_store(tmp_path / "remit.db") as store:
        claim = await claimed(store, secrets=dict.fromkeys(MANY, "literal"))
        vault = SecretVault({})
        await vault.keep(claim.task.id, 1, MANY, claim.secrets)
        await vault.share(claim.task.id, "borrower")
        yield Variables(claim, vault, store), vault


async def test_others_have_their_turn_while_one_more_value_comes_to_be_masked(ready: Ready) -> None:
    variables, _ = ready
    await variables.unlock()
    async with unstalled():
        await variables.mask("TOKEN", "one-more-value")
    assert variables.masker.short(f"one-more-value {SEVENTH}") == "[secret TOKEN] [secret S7]"


async def test_what_comes_to_be_known_while_others_do_is_masked_as_well(ready: Ready) -> None:
    variables, vault = ready
    with vault.shared(variables._claim.task.id, variables._learn):
        async with anyio.create_task_group() as group:
            group.start_soon(variables.unlock)
            group.start_soon(variables.mask, "TOKEN", "one-more-value")
            with anyio.fail_after(PATIENCE):
                while not variables._learning.locked():
                    await anyio.lowlevel.checkpoint()
            await vault.keep("borrower", 1, {"LENT": "another-value"}, {"LENT": "literal"})
    shown = variables.masker.short(f"one-more-value another-value {SEVENTH}")
    assert shown == "[secret TOKEN] [secret LENT] [secret S7]"


async def test_a_value_that_is_masked_already_costs_nothing(ready: Ready) -> None:
    variables, _ = ready
    await variables.mask("TOKEN", "one-more-value")
    sought = variables.masker._redactor._sought
    await variables.mask("TOKEN", "one-more-value")
    assert variables.masker._redactor._sought is sought


async def test_others_have_their_turn_while_one_that_shares_the_folder_gets_many_secrets(ready: Ready) -> None:
    variables, vault = ready
    await variables.unlock()
    another = {f"T{number}": f"{value}-of-another" for number, value in enumerate(MANY.values())}
    with vault.shared(variables._claim.task.id, variables._learn):
        async with unstalled():
            await vault.keep("borrower", 1, another, dict.fromkeys(another, "literal"))
    assert variables.masker.short(f"{another['T7']} {SEVENTH}") == "[secret T7] [secret S7]"
