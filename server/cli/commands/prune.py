"""`remit prune`: the removal of what was kept long enough."""

from argparse import Namespace

from server.cli.client import open_client
from server.cli.printing import print_answer


def prune(arguments: Namespace) -> int:
    """Remove it at once; with `--now`, whatever is thought of the clock."""
    with open_client() as client:
        answer = client.call("prune_tasks", now=arguments.now)
    print_answer(arguments, answer, [f"removed {answer['removedCount']} tasks"])
    return 0
