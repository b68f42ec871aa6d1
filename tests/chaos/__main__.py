"""`python -m tests.chaos`: a campaign by hand. The status is 1 where it has found something."""

import argparse
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

from tests.chaos import campaign
from tests.chaos.faults import FAULTS, possible


def main() -> int:
    """Run one campaign and print its report."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="how long faults are done (default 120)")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6), help="to do the same again")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=FAULTS,
        default=possible(),
        help="the faults (default: all that this user can do here)",
    )
    parser.add_argument("--words", action="store_true", help="print what errors said, too")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="remit-chaos-") as folder:
        report = campaign.run(Path(folder), asked.seed, asked.seconds, faults=asked.only)
    print(*report.lines(), sep="\n")
    if asked.words:
        print(*(f"{count:5} {words}" for words, count in report.journal.words.most_common()), sep="\n")
    return 1 if report.journal.faults else 0


if __name__ == "__main__":
    sys.exit(main())
