"""How a command's answer is printed: as JSON for programs, else as lines for people."""

import json
import sys
from argparse import Namespace
from collections.abc import Iterable
from typing import Any

from server.cli.console import Screen, one_line
from server.errors import RemitError


def print_answer(arguments: Namespace, answer: Any, lines: Iterable[str]) -> None:
    """Print the answer: with `--json` whole and in ASCII, which no terminal obeys, else as `lines`."""
    if arguments.json:
        print(json.dumps(answer, indent=2))
        return
    screen = Screen(sys.stdout)
    for line in lines:
        screen.print(line)


def print_failure(arguments: Namespace, error: RemitError) -> None:
    """Say on standard error what failed; with `--json` say it to programs as well."""
    if arguments.json:
        print(json.dumps({"error": error.facts}, indent=2))
    note(error.text)


def note(text: str) -> None:
    """Say something on standard error, on one line."""
    screen = Screen(sys.stderr)
    screen.print(f"{screen.paint('remit:', 'dim')} {one_line(text)}")
