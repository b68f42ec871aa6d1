"""Printing of answers: as JSON for programs, as lines for people."""

import json
import sys
from argparse import Namespace
from collections.abc import Iterable
from typing import Any

from server.cli.console import Screen, one_line
from server.errors import RemitError


def print_answer(arguments: Namespace, answer: Any, lines: Iterable[str]) -> None:
    """Print the answer: with `--json` complete and in ASCII, which is harmless on a terminal, else as `lines`."""
    if arguments.json:
        print(json.dumps(answer, indent=2))
        return
    screen = Screen(sys.stdout)
    for line in lines:
        screen.print(line)


def print_failure(arguments: Namespace, error: RemitError) -> None:
    """Print an error to standard error; with `--json` also as JSON."""
    if arguments.json:
        print(json.dumps({"error": error.facts}, indent=2))
    note(error.text)


def note(text: str) -> None:
    """Print one line to standard error."""
    screen = Screen(sys.stderr)
    screen.print(f"{screen.paint('remit:', 'dim')} {one_line(text)}")
