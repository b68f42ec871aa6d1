"""The entry point of the command line, for every start of `remit` with arguments."""

import os
import signal
import sys
from io import TextIOWrapper

from server.cli.arguments import parse
from server.cli.printing import print_failure
from server.errors import RemitError


def main() -> int:
    """Run the command line; returns the exit status."""
    _accept_every_character()
    arguments = parse()
    try:
        status: int = arguments.handle(arguments)
        sys.stdout.flush()
    except RemitError as error:
        print_failure(arguments, error)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        return 128 + signal.SIGPIPE
    return status


def _accept_every_character() -> None:
    """Escape characters that the locale cannot encode, so that any output can be printed."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
