"""Have a repository reviewed by an agent that hands the work on to two others, and print its summary.

    python -m examples.review llm path/to/repository

The agent needs a model, as in agents.toml: `llm`, `opencode`, `claude` or one of your own. The repository must be at or
beneath a folder of the setting `workspaces`. Every task works at its latest commit, on a branch of its own.
"""

import sys
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from examples.delegate import REMIT, Refused, call

REQUEST = """\
This repository is to be reviewed. Hand that on to two sub-tasks that work at the same time, each in a worktree of its
own (`workspace` of create_task), with one question:

1. Is it correct? Name every mistake, with its file and line, and commit a mended version.
2. Is it readable? Name what a newcomer would stumble over, and commit a better version.

Wait for both (get_task with waitSeconds), then sum their answers up in one list, the most important first, with the
branch of each."""


async def main(agent: str, repository: Path) -> int:
    """Hand the review on; 0 if it completes, else 1."""
    async with Client(REMIT) as remit:
        try:
            task = await reviewed(remit, agent, repository)
        except Refused as refused:
            print(refused, file=sys.stderr)
            return 1
    print(task["output"]["content"])
    print(task["status"], task["error"] or "", file=sys.stderr)
    return 0 if task["status"] == "completed" else 1


async def reviewed(remit: Client, agent: str, repository: Path) -> dict[str, Any]:
    """The task with its summary, once it has ended."""
    where = {"path": str(repository), "mode": "worktree"}
    task = await call(remit, "create_task", message=REQUEST, agentId=agent, title="Review", workspace=where)
    while task["status"] not in {"completed", "failed", "cancelled"}:
        task = await call(remit, "get_task", id=task["id"], waitSeconds=45)
    return task


if __name__ == "__main__":
    sys.exit(anyio.run(main, sys.argv[1], Path(sys.argv[2])))
