"""Agents that people use, as `make packages` installs them, with a scripted model of the tests' own."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import servers
from tests.models.script import MODEL, SMALL_MODEL, Use
from tests.models.server import Model
from tests.npm import packages

KEY = "model-key-8d1f20c47a"
"""The key of the model: to be found nowhere but in what the model is told."""

TOKEN = "notes-token-5b9e33c016"
"""The secret of an MCP server: to be found nowhere but in what that server is told."""


@dataclass(frozen=True)
class Real:
    """One of them: its name, its command, the name of the secret that is its key, its tool for commands, and the
    variables that lead it to a model."""

    name: str
    command: tuple[str, ...]
    require: Callable[[], None]
    key: str
    shell: str
    variables: Callable[[Model], dict[str, str]]

    def runs(self, command: str) -> Use:
        """Its call that runs a command."""
        return Use(self.shell, {"command": command, "description": "as told"})


def _opencode(model: Model) -> dict[str, str]:
    config = {
        "model": f"scripted/{MODEL}",
        "small_model": f"scripted/{SMALL_MODEL}",
        "enabled_providers": ["scripted"],
        "provider": {
            "scripted": {
                "npm": "@ai-sdk/openai-compatible",
                "options": {"baseURL": f"{model.url}/v1", "apiKey": "{env:MODEL_KEY}"},
                "models": {MODEL: {}, SMALL_MODEL: {}},
            }
        },
    }
    return {"OPENCODE_CONFIG_CONTENT": json.dumps(config)}


def _claude(model: Model) -> dict[str, str]:
    small = dict.fromkeys(("ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL"), SMALL_MODEL)
    return {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_MODEL": MODEL, **small}


OPENCODE = Real(
    "opencode",
    (str(packages.OPENCODE), "acp", "--hostname", "127.0.0.2"),
    packages.require_opencode,
    "MODEL_KEY",
    "bash",
    _opencode,
)
CLAUDE = Real(
    "claude",
    (str(packages.NODE), str(packages.CLAUDE_AGENT)),
    packages.require_claude_agent,
    "ANTHROPIC_API_KEY",
    "Bash",
    _claude,
)


@contextmanager
def installed(real: Real, folder: Path, model: Model, more: str = "") -> Iterator[Path]:
    """Yield a state folder whose server has the agent, its key as a secret, and the model as its network."""
    (folder / "key").write_text(KEY)
    variables = "".join(f"{name} = {json.dumps(value)}\n" for name, value in real.variables(model).items())
    (folder / "remit.toml").write_text(
        f"[agents.{real.name}]\ncommand = {json.dumps(real.command)}\n"
        f"network = [{json.dumps(model.host)}]\nsecrets = [{json.dumps(real.key)}]\n"
        f"[agents.{real.name}.env]\n{variables}"
        f"[secrets.{real.key}]\nfile = {json.dumps(str(folder / 'key'))}\n{more}"
    )
    with servers.home(folder) as home:
        yield home


def holding(folder: Path, text: str) -> list[str]:
    """Return the files beneath a folder that a text is in."""
    files = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return sorted(
        str(file.relative_to(folder)) for file in files if file.is_file() and text.encode() in file.read_bytes()
    )
