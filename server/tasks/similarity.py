"""When is a call similar to one that was approved for always? When they share a key."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

# What runs other programs or code is only similar to itself, letter by letter: its first words say nothing
# about what it will do.
_WRAPPERS = frozenset(
    """
    . ash awk bash builtin bun busybox bunx chroot command csh dash deno doas docker env eval exec expect find fish
    flock gawk gdb ionice ksh lua m4 make mawk nice nix node nodejs nohup npx nsenter osascript parallel perl php pipx
    pkexec pnpx podman proot pwsh pypy python rbash rscript ruby script sed setarch setpriv setsid sh source ssh stdbuf
    strace su sudo systemd-run taskset tclsh tcsh time timeout trap tsx unshare uvx vi vim watch xargs yash zsh
    """.split()
)
_RUNS_OTHERS = frozenset({"run", "exec", "x", "dlx", "eval", "start", "-c", "-e", "-C", "--exec"})
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@%+:,./=-]+")
_VERSION = re.compile(r"[0-9.-]+$")


def digest(args: Mapping[str, Any]) -> str:
    """The arguments of a call as one SHA-256, hex: what a decision is bound to."""
    canonical = json.dumps(args, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def keys(tool_name: str, args: Mapping[str, Any]) -> tuple[str, ...]:
    """What a call is known by: always its exact arguments, and for a simple command its first two words."""
    exact = f"exact:{digest(args)}"
    words = _simple_command(args["command"]) if tool_name == "shell" else None
    return (exact, f"words:{' '.join(words[:2])}") if words else (exact,)


def _simple_command(command: str) -> list[str] | None:
    """The words of a command that its first two describe; None where they would not."""
    words = command.split(" ")
    if len(words) < 2 or not all(_PLAIN_WORD.fullmatch(word) for word in words):
        return None
    program, first, *_ = words
    if "=" in program or any(_is_relative_path(word) for word in words):
        return None
    if _is_wrapper(program) or first in _RUNS_OTHERS or (program == "git" and first.startswith("-")):
        return None
    return words


def _is_relative_path(word: str) -> bool:
    parts = word.split("/")
    return ".." in parts or parts[0] == "." or (len(parts) > 1 and not word.startswith("/"))


def _is_wrapper(program: str) -> bool:
    name = PurePosixPath(program).name.lower()
    return name in _WRAPPERS or _VERSION.sub("", name) in _WRAPPERS
