"""The command line as a process of its own: without a terminal, or at one with somebody who types."""

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from tests import servers, terminals
from tests.servers import LAUNCHER, PATIENCE

COLUMNS, LINES = 80, 24


class CommandLine:
    """`remit`, with a state folder, started in another folder."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home = home
        self.folder = folder

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command without a terminal."""
        return self.run(arguments, variables, stdout=subprocess.PIPE)

    def run(
        self, arguments: Sequence[str], variables: Mapping[str, str], stdout: IO[bytes] | int
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line with another standard output."""
        return subprocess.run(
            self._argv(arguments),
            **self._surroundings(variables),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
        )

    def json(self, *arguments: str, **variables: str) -> Any:
        """Return the answer to a command that succeeds."""
        done = self(*arguments, "--json", **variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def detached(self, *arguments: str) -> str:
        """Return the id of a new task that is left to itself."""
        return str(self.json("run", "--detach", *arguments)["id"])

    def waiting(self, message: str, *arguments: str) -> tuple[str, str]:
        """Return the ids of a new task and of its call that waits for approval."""
        task_id = self.detached("--ask", message, *arguments)
        return task_id, self.waiting_call(task_id)

    def waiting_call(self, task_id: str) -> str:
        """Return the id of the task's call that waits for approval, once there is one."""
        with self.start("watch", task_id) as watch:
            return watch.expect(rf"remit approve {task_id} (\w+)")[1]

    def start(self, *arguments: str, **variables: str) -> "Process":
        """Start a command without a terminal."""
        reader, writer = os.pipe()
        with open(writer, "wb") as output:
            return Process(
                subprocess.Popen(
                    self._argv(arguments),
                    **self._surroundings(variables),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                ),
                reader,
            )

    def at_terminal(self, *arguments: str, **variables: str) -> "Process":
        """Start a command at a terminal, which shows its output and its errors."""
        started = terminals.start(
            self._argv(arguments),
            env=self._environment(variables),
            cwd=self.folder,
            lines=LINES,
            columns=COLUMNS,
        )
        return Process(*started)

    def _argv(self, arguments: Sequence[str]) -> list[str]:
        return [sys.executable, str(LAUNCHER), *arguments]

    def _surroundings(self, variables: Mapping[str, str]) -> dict[str, Any]:
        return {"cwd": self.folder, "env": self._environment(variables), "start_new_session": True}

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        environment = servers.environment(self.home, TERM="xterm", **variables)
        for name in {"COLUMNS", "LINES", "NO_COLOR"} - variables.keys():
            environment.pop(name, None)
        return environment


class Process:
    """A command that runs, seen through what it shows, and ended with the `with`."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self.shown = ""
        """What was shown since the last match."""

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until something is shown."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.shown)):
            assert self._read(deadline), f"it ended without {pattern!r}: {self.shown!r}"
        self.shown = self.shown[found.end() :]
        return found

    def type(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def end(self) -> int:
        """Wait for its end; its exit status."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self._process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        self._process.kill()
        self._process.wait()

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], max(deadline - time.monotonic(), 0))
        assert ready, f"it shows nothing more: {self.shown!r}"
        try:
            chunk = os.read(self._descriptor, 65536)
        except OSError:  # a terminal whose last process is gone
            return False
        self.shown += chunk.decode(errors="replace")
        return bool(chunk)
