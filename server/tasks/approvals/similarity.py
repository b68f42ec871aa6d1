"""When is a call similar to one that was approved for always? When they share a key."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

# An allow-list, as nobody can name every program that runs others, nor every option that makes one do so. Whatever
# words follow, these only read, or at most make something empty, set its times or remove an empty folder. Left out for
# what a later word can do: cp, mv, rm and uniq (overwrite or remove any file), date (sets the clock), file and diff
# (start programs).
_PROGRAMS = frozenset(
    """
    basename cat cmp comm cut df dirname du echo false grep head ls md5sum mkdir readlink realpath rmdir seq sha256sum
    stat tail touch true wc
    """.split()
)
READING = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "false",
    "GIT_CONFIG_KEY_1": "core.hooksPath",
    "GIT_CONFIG_VALUE_1": "/dev/null",
}
"""The variables of a command that only reads, beside the sandbox's own HOME and PATH: by these, git reads no settings
but the repository's, and starts neither its file watcher nor its hooks."""

_PLACES = frozenset({"", "/bin/", "/usr/bin/"})
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@%+:,./=-]+")


def canonical(value: Any) -> str:
    """A value of JSON as a text that is the same for all that are equal."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def digest(args: Mapping[str, Any]) -> str:
    """The arguments of a call as one SHA-256, hex: what a decision is bound to."""
    return hashlib.sha256(canonical(args).encode()).hexdigest()


def keys(args: Mapping[str, Any], *, is_command: bool) -> tuple[str, ...]:
    """What a call is known by: always its exact arguments, and for a simple command its first two words.

    The arguments are those that are executed, nothing masked. A command is what this server itself executes.
    """
    exact = f"exact:{digest(args)}"
    words = _words(args) if is_command else None
    return (exact, f"words:{' '.join(words[:2])}") if words else (exact,)


def only_reads(args: Mapping[str, Any]) -> bool:
    """Whether a command is of those that are similar to others by their first two words."""
    return _words(args) is not None


def _words(args: Mapping[str, Any]) -> list[str] | None:
    command = args["command"] if set(args) == {"command"} else None
    return _simple_command(command) if isinstance(command, str) else None


def _simple_command(command: str) -> list[str] | None:
    """The words of a command that its first two describe; None where they would not."""
    words = command.split(" ")
    if len(words) < 2 or not all(_PLAIN_WORD.fullmatch(word) for word in words):
        return None
    program, first, *_ = words
    if first.startswith("-") or "--help" in words or any(_is_relative_path(word) for word in words):
        return None
    return words if _is_harmless(program, first) else None


def _is_relative_path(word: str) -> bool:
    parts = word.split("/")
    return ".." in parts or parts[0] == "." or (len(parts) > 1 and not word.startswith("/"))


def _is_harmless(program: str, first: str) -> bool:
    """Whether nothing that can follow these two words does more than they tell.

    Of git that is status alone: log, show and diff write to an --output, add, branch and tag can start an editor.
    What the settings of a repository make status start for all that (filters of files), they do for the exact command
    as well; with --help they would name the program that shows the manual.
    """
    folder, slash, name = program.rpartition("/")
    return folder + slash in _PLACES and (name in _PROGRAMS or (name, first) == ("git", "status"))
