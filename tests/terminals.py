"""A terminal of a program's own, whose other end a test holds."""

import fcntl
import os
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path


def start(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, lines: int, columns: int
) -> "tuple[subprocess.Popen[bytes], int]":
    """Start a program whose input, output and errors are a terminal; returns it and the descriptor of the other end."""
    screen, line = os.openpty()
    termios.tcsetwinsize(line, (lines, columns))
    with open(line, "r+b", buffering=0) as terminal:
        process = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            preexec_fn=_control_terminal,
        )
    return process, screen


def _control_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
