"""`remit prune`: removes what was kept long enough."""

from argparse import Namespace

from server.cli.client import open_client
from server.cli.printing import print_answer


def prune(arguments: Namespace) -> int:
    """Run `remit prune`; with `--now`, even if the clock is doubted."""
    with open_client() as client:
        answer = client.call("prune_tasks", now=arguments.now)
    print_answer(arguments, answer, [f"removed {answer['removedCount']} tasks"])
    return 0
