"""Files that others write are read by the server in one way alone, which neither waits nor grows without end."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVER = Path(__file__).parents[3] / "server"

READS = {"read_text", "read_bytes", "open", "fdopen", "mmap"}

ALLOWED = {
    "runner/canary.py": "a program of remit",
    "runner/cgroups/control_group.py": "the kernel's",
    "runner/cgroups/hierarchy.py": "the kernel's",
    "runner/network/callback.py": "the kernel's; and CallbackChannel.open, which opens a port",
    "runner/tiers/bubblewrap.py": "CallbackChannel.open",
    "runner/tiers/supervised.py": "CallbackChannel.open and Gateway.open",
    "runner/filesystem/safe_open.py": "the way itself",
    "runner/monitoring/disks.py": "a descriptor that is never read",
    "runner/git/git_command.py": "what git said, in memory",
    "runner/tiers/interpreter.py": "a program of remit",
    "runner/programs/launcher.py": "inside of the sandbox",
    "runner/monitoring/usage.py": "the kernel's",
    "runner/filesystem/memory_file.py": "memory of our own",
    "runner/network/gateway.py": "a port",
    "runner/programs/probe.py": "inside of the sandbox",
    "runner/process.py": "the kernel's",
    "runner/programs/relay.py": "inside of the sandbox",
    "runner/filesystem/removal.py": "folders alone",
    "runner/git/repository.py": "descriptors of the way itself, and new files",
    "runner/tiers/scratch.py": "a record in a folder of our own",
    "runner/tiers/placeholders.py": "new files",
    "runner/scanning/traps.py": "a new file that has no name",
    "runner/process_tree.py": "the kernel's",
    "runner/workspace/upload.py": "descriptors of the way itself, and new files",
    "runner/workspace/workspaces.py": "a record in a folder of our own",
    "runner/worktrees/worktree.py": "a new file",
    "tasks/secrets/sources.py": "the operator's own",
}
"""Modules that open something besides, and what."""


def reads(module: Path) -> Iterator[int]:
    """Yield the lines of a module in which something is opened or read by its path."""
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
