"""Have the files of a folder reviewed by an agent that hands the work on to two others, and print its summary.

    python -m examples.review llm path/to/project

The agent needs a model, as in agents.toml: `llm`, `opencode`, `claude` or one of your own.
"""

import sys
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from examples.delegate import REMIT, Refused, call

MOST = 20
"""Files that one task can be given."""

REQUEST = """\
The files in uploads/ are to be reviewed. Hand this on to two sub-tasks that work at the same time, each with all of the
files (`files` of create_task) and one question:

1. Is it correct? Name every mistake, with its file and line.
2. Is it readable? Name what a newcomer would stumble over.

Wait for both (get_task with waitSeconds), then sum their answers up in one list, the most important first."""


def files_of(folder: Path) -> list[dict[str, str]]:
    """The first files of Python beneath a folder, as a task is given them."""
    found = sorted(path for path in folder.rglob("*.py") if path.is_file())
    return [{"path": str(path.relative_to(folder)), "content": path.read_text()} for path in found[:MOST]]


async def main(agent: str, uploads: list[dict[str, str]]) -> int:
    """Hand the review on; 0 if it completes, else 1."""
    async with Client(REMIT) as remit:
        try:
            task = await reviewed(remit, agent, uploads)
        except Refused as refused:
            print(refused, file=sys.stderr)
            return 1
    print(task["output"]["content"])
    print(task["status"], task["error"] or "", file=sys.stderr)
    return 0 if task["status"] == "completed" else 1


async def reviewed(remit: Client, agent: str, uploads: list[dict[str, str]]) -> dict[str, Any]:
    """The task with its summary, once it has ended."""
    task = await call(remit, "create_task", message=REQUEST, agentId=agent, title="Review", files=uploads)
    while task["status"] not in {"completed", "failed", "cancelled"}:
        task = await call(remit, "get_task", id=task["id"], waitSeconds=45)
    return task


if __name__ == "__main__":
    sys.exit(anyio.run(main, sys.argv[1], files_of(Path(sys.argv[2]))))
