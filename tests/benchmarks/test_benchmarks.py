"""The benchmarks are run here only to see that they run: a time is nothing that a test could rely on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_every_row_comes_out_as_a_line_and_as_json(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json", str(results)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(results.read_text())
    assert {"cores", "kernel", "Python", "SQLite"} <= told["machine"].keys()
    assert {"get_task, round trip", "create_task, round trip, durable"} <= {row["name"] for row in told["rows"]}
    assert all(f"\n{row['name']} " in ended.stdout for row in told["rows"])
    assert all(row["remit"]["n"] > 0 for row in told["rows"])
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"], "something was left behind"
