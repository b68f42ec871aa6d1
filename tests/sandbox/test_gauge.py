"""Measuring a workspace."""

from pathlib import Path

import pytest

from server.runner import gauge
from server.runner.gauge import Gauge


def test_a_measurement_that_cannot_start_leaves_the_other_limits_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError("nice")

    monkeypatch.setattr(gauge, "Popen", refuse)
    measuring = Gauge(tmp_path, 1, now=0.0)
    assert not measuring.exceeded(gauge.FIRST_SECONDS)
    assert "cannot be measured" in caplog.text
    measuring.close()
