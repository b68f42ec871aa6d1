"""Programs are found with all they need, and nothing of a person's besides."""

import json
from pathlib import Path

import pytest

from server.agents.installation import find
from server.errors import Code, RemitError


def program(path: Path, text: str = "\x7fELF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def on_path(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    monkeypatch.setenv("PATH", ":".join(map(str, folders)))


def test_a_program_of_its_own_needs_itself(tmp_path: Path) -> None:
    path = program(tmp_path / "agent")
    found = find([str(path), "acp"])
    assert (found.argv, found.readable, found.version) == ((str(path), "acp"), (path,), None)


def test_a_link_leads_to_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path / "opt" / "agent")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "agent").symlink_to(path)
    on_path(monkeypatch, tmp_path / "bin")
    assert find(["agent"]).argv == (str(path),)


def test_a_script_is_started_by_its_interpreter_wherever_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = program(tmp_path / "own" / "bin" / "node")
    script = program(tmp_path / "agent.js", "#!/usr/bin/env -S node --quiet\n")
    on_path(monkeypatch, node.parent)
    found = find([str(script), "acp"])
    assert found.argv == (str(node), "--quiet", str(script), "acp")
    assert found.readable == (script, node)


def test_a_package_is_read_with_all_that_are_installed_beside_it(tmp_path: Path) -> None:
    packages = tmp_path / "node_modules"
    path = program(packages / "@maker" / "agent" / "dist" / "agent")
    (packages / "@maker" / "agent" / "package.json").write_text(json.dumps({"version": "1.2.3"}))
    found = find([str(path)])
    assert (found.readable, found.version) == ((packages,), "1.2.3")


def test_a_script_that_is_given_to_a_program_is_what_counts(tmp_path: Path) -> None:
    node = program(tmp_path / "node" / "bin" / "node")
    script = program(tmp_path / "node_modules" / "agent" / "index.js", "")
    (script.parent / "package.json").write_text(json.dumps({"version": "1.2.3"}))
    found = find([str(node), str(script)])
    assert (found.readable, found.version) == ((node, tmp_path / "node_modules"), "1.2.3")


def test_what_every_sandbox_holds_is_not_named(tmp_path: Path) -> None:
    script = program(tmp_path / "agent", "#!/bin/sh\n")
    assert find([str(script)]).readable == (script,)


@pytest.mark.parametrize("text", [None, "#!/usr/bin/env no-such-interpreter\n", "#!/no/such/interpreter\n"])
def test_what_is_not_there_is_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        program(tmp_path / "agent", text)
    with pytest.raises(RemitError, match="is not installed") as caught:
        find([str(tmp_path / "agent")])
    assert caught.value.code is Code.AGENT_UNAVAILABLE
