"""Inputs of a task from the command line: variables, secrets and files."""

import base64
import os
from argparse import Namespace
from typing import Any

from server.cli.terminal import Terminal, open_terminal
from server.errors import Code, RemitError
from server.limits import MAX_INLINE_BYTES


def given(arguments: Namespace) -> dict[str, Any]:
    """Return the fields that `create_task` and `send_message` share.

    Raises:
        RemitError: a secret or a file is not available.
    """
    return {
        "env": dict(arguments.env),
        "secrets": _secrets(arguments.secret),
        "secretNames": arguments.secret_name,
        "files": _files(arguments.file),
    }


def _secrets(names: list[str]) -> dict[str, str]:
    """Return the values from variables of these names, or typed; never from arguments, which others can see."""
    with open_terminal() as terminal:
        return {name: os.environ.get(name) or _typed(terminal, name) for name in names}


def _typed(terminal: Terminal | None, name: str) -> str:
    if terminal is None:
        raise RemitError(
            Code.VALIDATION_ERROR,
            f"secret {name}: put its value into the environment variable {name}, or run this in a terminal",
        )
    if not (value := terminal.ask_hidden(f"value of the secret {name}: ")):
        raise RemitError(Code.VALIDATION_ERROR, f"secret {name}: no value was typed; run the command again")
    return value


def _files(named: list[str]) -> list[dict[str, str]]:
    left = MAX_INLINE_BYTES  # larger ones the server takes only by where they lie
    files = []
    for path, name in map(_split, named):
        try:
            file, taken = _file(path, name, left)
        except OSError as error:
            raise RemitError(Code.VALIDATION_ERROR, f"file {path}: {error.strerror}") from error
        left -= taken
        files.append(file)
    return files


def _file(path: str, name: str, left: int) -> tuple[dict[str, str], int]:
    """Return a file's field, with its content if that fits, and the bytes it takes."""
    with open(path, "rb") as file:
        content = file.read(left + 1)
    if len(content) > left:
        return {"path": name, "source": os.path.realpath(path)}, 0
    return {"path": name, "contentBase64": base64.b64encode(content).decode()}, len(content)


def _split(text: str) -> tuple[str, str]:
    """Split PATH or PATH:NAME; an existing path that contains a colon is a path."""
    path, colon, name = text.rpartition(":")
    if not colon or not name or os.path.exists(text):
        return text, os.path.basename(text)
    return path, name
