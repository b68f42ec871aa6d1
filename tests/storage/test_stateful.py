"""Random operations by two principals, by workers and by servers that die, held against a simple model."""

from functools import partial
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from storage.sqlite.operations import deletion
from storage.sqlite.relations import propagation
from tests.storage.stateful.machine import Machine
from tests.storage.stateful.machine_base import Clock


@pytest.mark.long
def test_the_store_does_what_the_model_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("storage.sqlite.store.now", clock)
    monkeypatch.setattr("storage.sqlite.run_store.now", clock)
    for module in (propagation, deletion):
        monkeypatch.setattr(module, "CHUNK", module.CHUNK)  # the machine sets them to something small
    frequent = settings(
        max_examples=40,
        stateful_step_count=50,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    with start_blocking_portal() as portal:
        run_state_machine_as_test(partial(Machine, portal, tmp_path, clock), settings=frequent)  # type: ignore[arg-type]
