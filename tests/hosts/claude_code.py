"""Claude Code from npm, in a home of its own, with remit as its only MCP server and a scripted model."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import servers
from tests.hosts import screen
from tests.hosts.screen import Screen
from tests.models.conversation import Request, Result
from tests.models.script import MODEL, SMALL_MODEL, Answer, Script, Use
from tests.models.server import Model, model
from tests.npm.packages import CLAUDE_CODE, require
from tests.servers import LAUNCHER

PATIENCE = 120
"""Seconds: many times what one of these sessions takes."""

MOST_ANSWERS = 40
"""Answers of the model to one prompt; more of them go round in circles."""

_KEY = "a-key-that-no-provider-knows"
_SEARCH = "ToolSearch"
"""How its model finds a tool that it was told the name of, and nothing else."""

_QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
}

Step = Callable[[Sequence[Result]], Answer]
"""What a model does next, from what came of all it did before."""


@dataclass(frozen=True, slots=True)
class ClaudeCode:
    """Claude Code, installed in a folder."""

    folder: Path
    home: Path
    """The state folder of remit."""

    model: Model

    def run(self, prompt: str) -> dict[str, Any]:
        """Let Claude Code answer a prompt without a person (`-p`); returns what it prints."""
        done = subprocess.run(
            self._argv("-p", prompt, "--output-format", "json"),
            env=self._environment,
            cwd=self._project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, (done.stdout, done.stderr, self.model.faults)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def at_terminal(self, prompt: str) -> AbstractContextManager[Screen]:
        """Begin with a prompt where a person sits."""
        return screen.running(self._argv(prompt), self._environment, self._project)

    def _argv(self, *arguments: str) -> list[str]:
        configured = ["--mcp-config", str(self.folder / "mcp.json"), "--strict-mcp-config"]
        return [str(CLAUDE_CODE), *arguments, *configured, "--allowedTools", "mcp__remit"]

    @property
    def _project(self) -> Path:
        return self.folder / "project"

    @property
    def _environment(self) -> dict[str, str]:
        small = dict.fromkeys(("ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL"), SMALL_MODEL)
        models = {"ANTHROPIC_BASE_URL": self.model.url, "ANTHROPIC_API_KEY": _KEY, "ANTHROPIC_MODEL": MODEL, **small}
        home = {"HOME": str(self.folder / "home"), "PATH": os.environ["PATH"], "TERM": "xterm-256color"}
        return {**home, **models, **_QUIET}


@contextmanager
def installed(folder: Path, script: Script) -> Iterator[ClaudeCode]:
    """Install it in a folder; it knows that folder, and has answered what a new user is asked."""
    require(CLAUDE_CODE)
    for name in ("home", "project"):
        (folder / name).mkdir()
    known = {str(folder / "project"): {"hasTrustDialogAccepted": True}}
    answered = {"hasCompletedOnboarding": True, "customApiKeyResponses": {"approved": [_KEY[-20:]], "rejected": []}}
    (folder / "home/.claude.json").write_text(json.dumps({**answered, "projects": known}))
    with model(script) as asked, servers.home(folder) as state:
        variables = {name: value for name, value in servers.environment(state).items() if name.startswith("REMIT_")}
        remit = {"command": sys.executable, "args": [str(LAUNCHER)], "env": variables}
        (folder / "mcp.json").write_text(json.dumps({"mcpServers": {"remit": remit}}))
        yield ClaudeCode(folder, state, asked)


def remit(tool: str, **arguments: Any) -> Use:
    """Return a call of one of remit's tools, by the name that Claude Code gives it."""
    return Use(f"mcp__remit__{tool}", arguments)


def does(*steps: Step) -> Script:
    """Do one step after the other, having looked for each tool that was only named."""

    def script(request: Request) -> Answer:
        assert request.answers < MOST_ANSWERS, request.results[-1]
        results = [result for result in request.results if result.tool != _SEARCH]
        answer = steps[len(results)](results)
        if isinstance(answer, Use) and answer.tool not in request.tools:
            return Use(_SEARCH, {"query": f"select:{answer.tool}"})
        return answer

    return script


def task_id(results: Sequence[Result]) -> str:
    """Return the id of the task that was created first."""
    return _found(r"[0-9a-f]{8}-[0-9a-f-]{27}", results[0])


def call_id(result: Result) -> str:
    """Return the id of the call that a result tells of."""
    return _found(r"call_[0-9a-f]{16}", result)


def _found(pattern: str, result: Result) -> str:
    found = re.search(pattern, result.text)
    assert found, result
    return found[0]
