"""`remit demo`: shows what remit does, through a real MCP client, in a folder that is removed at the end."""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

from server.cli.commands.server import end
from server.cli.console import Screen, age, harmless
from server.daemon.paths import StatePaths
from server.errors import ERROR_META, Code, RemitError, innermost
from server.version import LAUNCHER

UNAVAILABLE = 2  # exit status where no task can be sandboxed
IDLE_EXIT = 20  # seconds: should this process be killed, its server does not stay for long
WAIT = 20  # seconds for each thing to happen

LETTER = "Dear agent, please count these words and then come home.\n"
SECRET = "correct horse battery staple"  # noqa: S105 (the demonstration's own)

FIRST = """Look at what you were given.
$ echo "Hello $GUEST, the letter has $(wc -w < uploads/letter.txt) words."
$ for i in 3 2 1; do echo "working … $i"; sleep 0.4; done
$ echo "The secret as it is:   $TOKEN"
$ echo "The secret in base64:  $(printf %s "$TOKEN" | base64)"
$ echo "The secret in hex:     $(printf %s "$TOKEN" | od -An -tx1 | tr -d ' \\n')"
$ cat "$DATABASE" 2>/dev/null || echo "The server's own files are out of my reach."
"""
SECOND = "$ echo 'I was allowed to run this.' > answer.txt && cat answer.txt"


def main() -> int:
    """Run the demonstration; returns 0, or 2 if no task can be sandboxed. Nothing is left behind, however it ends."""
    screen = Screen(sys.stdout)
    with TemporaryDirectory(prefix="remit-demo-") as folder:
        paths = StatePaths(os.path.join(folder, "state"), os.path.join(folder, "remit.toml"))
        Path(paths.config).write_text(f"idle_exit = {IDLE_EXIT}\n")
        try:
            status = anyio.run(Demo(paths, screen).run)
        except BaseExceptionGroup as group:
            raise innermost(group) from None
        finally:
            end(paths, force=True)
    screen.print(screen.paint("The private server is stopped, and its folder removed.", "bold"))
    return status


class Demo:
    """The demonstration, in a state folder of its own."""

    def __init__(self, paths: StatePaths, screen: Screen) -> None:
        self._paths = paths
        self._screen = screen

    async def run(self) -> int:
        """Run all steps, in two windows; returns the exit status."""
        async with self._window() as window:
            agents = await _call(window, "list_agents")
            if agents["sandbox"] == "unavailable":
                self._screen.print(f"No task can run here: {agents['agents'][0]['needs']}")
                return UNAVAILABLE
            self._tell(f"A host has started remit over stdio. Tasks run in the sandbox tier '{agents['sandbox']}'.")
            await self._first_task(window)
            waiting = await self._second_task(window)
            self._tell("The window that asked is closed now. The task waits on, and holds no process meanwhile.")
        async with self._window() as window:
            await self._approve(window, waiting)
            await self._list(window)
        return 0

    async def _first_task(self, window: Client) -> None:
        self._tell("It hands over a task with a variable, a secret and an uploaded file. Output, as it comes:")
        created = await _call(
            window,
            "create_task",
            title="look around",
            message=FIRST,
            env={"GUEST": "stranger", "DATABASE": f"{self._paths.state}/remit.db"},
            secrets={"TOKEN": SECRET},
            files=[{"path": "letter.txt", "content": LETTER}],
        )
        await self._follow(window, created["id"])
        self._tell("The command had the secret; whoever reads its output does not, in any of these forms.")

    async def _second_task(self, window: Client) -> dict[str, Any]:
        self._tell("A second task must ask before it runs anything. This call waits for a yes:")
        created = await _call(window, "create_task", title="ask first", message=SECOND, autoExecute=False)
        task = await self._follow(window, created["id"])
        self._quote(task["pendingApprovals"][0]["args"]["command"])
        return task

    async def _approve(self, window: Client, task: dict[str, Any]) -> None:
        self._tell("A new window finds it, and says yes to this one call:")
        waiting = task["pendingApprovals"][0]
        decision = {"callId": waiting["callId"], "call": waiting["call"], "outcome": "proceed_once"}
        await _call(window, "approve_tool_call", id=task["id"], **decision)
        await self._follow(window, task["id"], after=task["lastEvent"])

    async def _list(self, window: Client) -> None:
        self._tell("Both tasks are kept, with all they said:")
        for row in (await _call(window, "list_tasks"))["tasks"]:
            self._quote(f"{row['id'][:8]}  {row['status']:<10} {age(row['lastActivityAt']):>3} ago  {row['title']}")

    async def _follow(self, window: Client, task_id: str, after: int = 0) -> dict[str, Any]:
        """Show a task's output, line by line, until it has ended or waits for a person."""
        rest = ""  # the beginning of a line, of which the next event has more
        with anyio.fail_after(WAIT):
            while True:
                task = await _call(
                    window, "get_task", id=task_id, waitSeconds=WAIT, include=["events"], afterEvent=after
                )
                for event in task["events"]:
                    after = event["number"]
                    if event["type"] == "content":
                        whole, newline, rest = (rest + event["data"]["text"]).rpartition("\n")
                        self._quote(whole + newline)
                if task["status"] not in {"pending", "running"} and after == task["lastEvent"]:
                    break
        self._quote(rest)
        if task["status"] not in {"completed", "awaiting_approval"}:
            raise RemitError(Code.EXECUTION_ERROR, f"the task is {task['status']}: {task['error']}")
        return task

    def _window(self) -> Client:
        """Start `remit` on its standard streams, as a host does. The SDK passes on PATH and the like only."""
        environment = {"REMIT_HOME": self._paths.state, "REMIT_CONFIG": self._paths.config}
        return Client(StdioServerParameters(command=sys.executable, args=[LAUNCHER], env=environment))

    def _tell(self, line: str) -> None:
        self._screen.print(self._screen.paint(line, "bold"))

    def _quote(self, text: str) -> None:
        for line in harmless(text).splitlines():
            self._screen.print(f"    {line}")


async def _call(window: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await window.call_tool(tool, arguments)
    if result.is_error:
        raise RemitError.of_facts(**(result.meta or {})[ERROR_META])
    return result.structured_content or {}
