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
_PLACES = frozenset({"", "/bin/", "/usr/bin/"})
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@%+:,./=-]+")


def digest(args: Mapping[str, Any]) -> str:
    """The arguments of a call as one SHA-256, hex: what a decision is bound to."""
    canonical = json.dumps(args, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def keys(tool_name: str, args: Mapping[str, Any]) -> tuple[str, ...]:
    """What a call is known by: always its exact arguments, and for a simple command its first two words."""
    exact = f"exact:{digest(args)}"
    command = args["command"] if tool_name == "shell" and set(args) == {"command"} else None
    words = _simple_command(command) if isinstance(command, str) else None
    return (exact, f"words:{' '.join(words[:2])}") if words else (exact,)


def _simple_command(command: str) -> list[str] | None:
    """The words of a command that its first two describe; None where they would not."""
    words = command.split(" ")
    if len(words) < 2 or not all(_PLAIN_WORD.fullmatch(word) for word in words):
        return None
    program, first, *_ = words
    if first.startswith("-") or any(_is_relative_path(word) for word in words):
        return None
    return words if _is_harmless(program, first) else None


def _is_relative_path(word: str) -> bool:
    parts = word.split("/")
    return ".." in parts or parts[0] == "." or (len(parts) > 1 and not word.startswith("/"))


def _is_harmless(program: str, first: str) -> bool:
    """Whether nothing that can follow these two words does more than they tell.

    Of git that is status alone: log, show and diff write to an --output, add, branch and tag can start an editor.
    What the settings of a repository make status start, they do for the exact command as well.
    """
    folder, slash, name = program.rpartition("/")
    return folder + slash in _PLACES and (name in _PROGRAMS or (name, first) == ("git", "status"))
