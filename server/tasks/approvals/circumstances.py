"""The circumstances of a call: what decides its effect besides its arguments. An approval holds under the same only.

These are the task's variables, its secrets by name and version, the files that came with it, the folder it works in,
the sandbox with its network and limits, and what the settings say of its agent's program and of its MCP servers.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from typing import Any

from server.config import AcpSettings, Settings
from server.runner.policy import SandboxPolicy
from server.tasks import sandbox_policy
from server.tasks.approvals import similarity
from storage.records.calls import Circumstances
from storage.records.tasks import Claim, Task

LONGEST_VALUE = 200
"""Characters of a variable shown to the person who decides; of a longer one, the beginning and a hash."""

_UNKNOWN = "unknown"

_STEERING = re.compile(
    r"""
    # By their whole names: shells, and programs that start an editor, a pager, a browser or a compiler.
    BROWSER | CC | CXX | EDITOR | ENV | FPATH | HOME | IFS | PAGER | PS[0-4] | SHELL | TMPDIR | VISUAL
    # By the program that reads them.
  | (?: AWS | BASH | BUN | BUNDLE | CARGO | CMAKE | CONDA | CURL | DENO | DOCKER | DOTNET | DYLD | ELECTRON | GCC
      | GCONV | GEM | GIT | GNUPG | GO | GPG | GRADLE | JAVA | JDK | JVM | KUBE | LD | LESS | LIBRARY | LUA | MAKE
      | MAVEN | MYSQL | NODE | NPM | OPENSSL | PERL | PG | PHP | PIP | PKG | PYTHON | RSYNC | RUBY | RUST | SSH | SSL
      | SUDO | SVN | TCL | TERRAFORM | UV | VIM | XDG | YARN | ZDOT )[A-Z0-9]* (?: _.* )?
  | (?: LC | R ) _.*
    # By what they are for, whoever reads them.
  | .* (?: ASKPASS | BROWSER | COMMAND | CONF | CONFIG | CONFIG_FILE | DIR | EDITOR | FLAGS | HOME | INIT | OPT
      | OPTIONS | OPTS | PAGER | PATH | PRELOAD | PROXY | RC | RCFILE | RSH | SHELL | STARTUP | WRAPPER )
    """,
    re.VERBOSE,
)
"""Variables that make programs load or start others: shown first, so that many other variables cannot hide them."""


def circumstances(
    claim: Claim, secrets: Mapping[str, str], policy: SandboxPolicy, tier: str, settings: Settings
) -> Circumstances:
    """Return the circumstances of the calls of a run.

    Args:
        claim: the run.
        secrets: the versions of its secrets, by their names.
        policy: of its commands.
        tier: of the sandbox.
        settings: those that this server was started with.
    """
    content = {**_content(claim, secrets, policy, tier), "programs": _programs(claim.task, settings)}
    return Circumstances(digest=similarity.digest(content), content=content, differ=partial(_differences, now=content))


def _content(claim: Claim, secrets: Mapping[str, str], policy: SandboxPolicy, tier: str) -> dict[str, Any]:
    task, folder = claim.task, claim.workspace
    return {
        "variables": {name: _shortened(value) for name, value in (task.env or {}).items()},
        "secrets": dict(secrets),
        "files": task.files or {},
        "agent": task.agent,
        "folder": f"{folder.path} ({folder.mode})" if folder else "a folder of its own",
        "network": policy.network if isinstance(policy.network, str) else ", ".join(policy.network),
        "access to hooks": policy.hooks,
        "sandbox": tier,
        "readable path": ":".join(map(str, (policy.workspace, *policy.readable))),
        "limits": {name.replace("_", " "): str(number) for name, number in asdict(policy.limits).items()},
    }


def _programs(task: Task, settings: Settings) -> dict[str, str]:
    """Return digests of the settings of the programs that make the calls; the settings may hold secrets."""
    agent = settings.agents.of(task.agent)
    known: dict[str, Any] = {}
    if isinstance(agent, AcpSettings):
        known[f"agent {task.agent}"] = {"command": agent.command, "env": agent.env}
    for name in sandbox_policy.mcp_servers(settings, task.agent, task.demands):
        if name in settings.mcp_servers:
            known[f"MCP server {name}"] = settings.mcp_servers[name].model_dump()
    return {name: similarity.digest(said) for name, said in known.items()}


def _shortened(value: str) -> str:
    if len(value) <= LONGEST_VALUE:
        return value
    hashed = sha256(value.encode(errors="surrogatepass")).hexdigest()
    return f"{value[:LONGEST_VALUE]}… ({len(value)} characters, sha256:{hashed})"


def _differences(before: Mapping[str, Any] | None, *, now: Mapping[str, Any]) -> Sequence[str]:
    """Describe how circumstances differ from those of the last approval, or, without one, from a bare task's."""
    return list(_set_at_first(now) if before is None else _changed(before, now))


def _set_at_first(now: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"the variable {name} is {now['variables'][name]}" for name in _ordered(now["variables"]))
    yield from (f"the task has the secret {name}" for name in sorted(now["secrets"]))
    yield from (f"the file uploads/{path} came with it" for path in sorted(now["files"]))
    if now["network"] != "none":
        yield f"its network is {now['network']}"


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Describe the changes. What an earlier version did not record is called unknown."""
    yield from _changed_variables(before.get("variables", {}), now["variables"])
    yield from _changed_parts("secret ", before.get("secrets", {}), now["secrets"])
    yield from _changed_parts("file uploads/", before.get("files", {}), now["files"])
    yield from (
        f"the {name} was: {before.get(name, _UNKNOWN)}, and is now: {now[name]}"
        for name in ("agent", "folder", "network", "access to hooks", "sandbox", "readable path")
        if before.get(name) != now[name]
    )
    yield from _changed_limits(before.get("limits", {}), now["limits"])
    yield from _changed_parts("", before.get("programs", {}), now["programs"], "has other settings")


def _changed_limits(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name, limit in now.items():
        if before.get(name) != limit:
            yield f"the limit of {name} was {before.get(name, _UNKNOWN)}, and is now {limit}"


def _changed_variables(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in _ordered({**before, **now}):
        if name not in now:
            yield f"the variable {name} is gone, which was {before[name]}"
        elif name not in before:
            yield f"the variable {name} is new: {now[name]}"
        elif before[name] != now[name]:
            yield f"the variable {name} was {before[name]}, and is now {now[name]}"


def _changed_parts(
    kind: str, before: Mapping[str, str], now: Mapping[str, str], otherwise: str = "was sent again, and may be another"
) -> Iterator[str]:
    for name in sorted({**before, **now}):
        if name not in now:
            yield f"the {kind}{name} is gone"
        elif name not in before:
            yield f"the {kind}{name} is new"
        elif before[name] != now[name]:
            yield f"the {kind}{name} {otherwise}"


def _ordered(variables: Mapping[str, str]) -> list[str]:
    """Return the names, those that steer programs first."""
    return sorted(variables, key=lambda name: (_STEERING.fullmatch(name.upper()) is None, name))
