"""Similarity of calls: a standing approval covers the calls that share a key with the approved one."""

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
"""The variables of a command that only reads, beside the sandbox's HOME and PATH: with them git reads no settings but
the repository's, and starts neither its file watcher nor its hooks."""

_PLACES = frozenset({"", "/bin/", "/usr/bin/"})
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@%+:,./=-]+")


def canonical(value: Any) -> str:
    """Return a JSON value as canonical text: equal values give equal texts."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def digest(args: Mapping[str, Any]) -> str:
    """Return the SHA-256, hex, of a call's arguments, to which a decision is bound."""
    return hashlib.sha256(canonical(args).encode()).hexdigest()


def keys(args: Mapping[str, Any], *, is_command: bool) -> tuple[str, ...]:
    """Return the keys of a call: its exact arguments, and for a simple command also its first two words.

    `args` are unmasked. `is_command`: the server itself executes the call as a command.
    """
    exact = f"exact:{digest(args)}"
    words = _words(args) if is_command else None
    return (exact, f"words:{' '.join(words[:2])}") if words else (exact,)


def only_reads(args: Mapping[str, Any]) -> bool:
    """Return whether a call is a simple command that only reads, which its first two words identify."""
    return _words(args) is not None


def _words(args: Mapping[str, Any]) -> list[str] | None:
    command = args["command"] if set(args) == {"command"} else None
    return _simple_command(command) if isinstance(command, str) else None


def _simple_command(command: str) -> list[str] | None:
    """Return the words of a simple command; None if its first two words do not describe it."""
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
    """Return whether no further words can make a command do more than these two say.

    Of git only status: log, show and diff write to an --output; add, branch and tag can start an editor. Programs that
    a repository's settings make status start (filters of files) run for the exact command as well; --help would start
    the program that shows the manual.
    """
    folder, slash, name = program.rpartition("/")
    return folder + slash in _PLACES and (name in _PROGRAMS or (name, first) == ("git", "status"))
