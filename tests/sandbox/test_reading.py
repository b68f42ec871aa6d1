"""Files that others write are read by the server in one way alone, which neither waits nor grows without end."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVER = Path(__file__).parents[2] / "server"

READS = {"read_text", "read_bytes", "open", "fdopen", "mmap"}

ALLOWED = {
    "runner/canary.py": "a program of ours",
    "runner/cgroup.py": "the kernel's",
    "runner/delegation.py": "the kernel's",
    "runner/door.py": "the kernel's; and Door.open, which opens a port",
    "runner/bubblewrap.py": "Door.open",
    "runner/supervised.py": "Door.open and Gateway.open",
    "runner/folder.py": "the way itself",
    "runner/disks.py": "a descriptor that is never read",
    "runner/git.py": "what git said, in memory",
    "runner/interpreter.py": "a program of ours",
    "runner/launcher.py": "inside of the sandbox",
    "runner/limits.py": "the kernel's",
    "runner/memory.py": "memory of our own",
    "runner/network/gateway.py": "a port",
    "runner/probe.py": "inside of the sandbox",
    "runner/process.py": "the kernel's",
    "runner/relay.py": "inside of the sandbox",
    "runner/removal.py": "folders alone",
    "runner/repository.py": "descriptors of the way itself, and new files",
    "runner/scratch.py": "a record in a folder of our own",
    "runner/standin.py": "new files",
    "runner/traps.py": "a new file that has no name",
    "runner/tree.py": "the kernel's",
    "runner/upload.py": "descriptors of the way itself, and new files",
    "runner/workspace.py": "a record in a folder of our own",
    "runner/worktree.py": "a new file",
}
"""Modules that open something besides, and what."""


def reads(module: Path) -> Iterator[int]:
    """The lines of a module in which something is opened or read by its path."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in READS:
                yield node.lineno


@pytest.mark.parametrize("part", ["runner", "tasks"])
def test_nothing_else_opens_a_file_by_its_path(part: str) -> None:
    found = {
        str(module.relative_to(SERVER)): list(reads(module))
        for module in (SERVER / part).rglob("*.py")
        if str(module.relative_to(SERVER)) not in ALLOWED
    }
    assert {name: lines for name, lines in found.items() if lines} == {}
