"""`python -m benchmarks`: remit and its bare counterparts side by side, as a table and as JSON."""

import argparse
import json
import os
import platform
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.effort import DEFAULT, FULL, QUICK, Effort
from benchmarks.groups import (
    answers,
    calls,
    commands,
    consequences,
    floods,
    growth,
    memory,
    neighbours,
    redaction,
    restart,
    tiers,
    windows,
)
from benchmarks.measure import HEADING, NotMeasured, Row, line

GROUPS: dict[str, Callable[[Effort], Iterator[Row]]] = {
    "windows": windows.rows,
    "calls": calls.rows,
    "commands": commands.rows,
    "tiers": tiers.rows,
    "neighbours": neighbours.rows,
    "floods": floods.rows,
    "memory": memory.rows,
    "redaction": redaction.rows,
    "restart": restart.rows,
    "growth": growth.rows,
    "consequences": consequences.rows,
    "answers": answers.rows,
}


def main() -> None:
    """Measure what was asked for; each line is printed as soon as it is known."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped then as well
    machine = _machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()), HEADING, sep="\n\n", flush=True)
    results: dict[str, Any] = {"machine": machine, "rows": [], "notMeasured": {}}
    for group in options.only or GROUPS:
        try:
            for row in GROUPS[group](options.effort):
                results["rows"].append(row.record())
                print(line(row), flush=True)
        except NotMeasured as reason:
            results["notMeasured"][group] = str(reason)
            print(f"{group}: not measured, {reason}")
    options.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    print(f"\nThe same as JSON: {options.json}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=GROUPS, help=f"one of {', '.join(GROUPS)}")
    counts = parser.add_mutually_exclusive_group()
    counts.set_defaults(effort=DEFAULT)
    for name, effort, meaning in (
        ("--quick", QUICK, "tiny counts, to see that it works; the figures mean little"),
        ("--full", FULL, "large counts, for a quiet machine"),
    ):
        counts.add_argument(name, dest="effort", action="store_const", const=effort, help=meaning)
    default = Path(__file__).with_name("results.json")
    parser.add_argument("--json", metavar="FILE", type=Path, default=default, help="where the JSON goes")
    return parser.parse_args()


def _machine() -> dict[str, str]:
    return {
        "cores": str(os.cpu_count()),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "mcp": version("mcp"),
        "remit": version("remit"),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


if __name__ == "__main__":
    main()
