"""The launcher, in a checkout and from a wheel: it imports remit's own packages, wherever and however it is started."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import anyio
import pytest

from tests.daemon.conftest import ROOT, Checkout, command_line, servers

REQUEST = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n'


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-build-isolation", "-w"]
    subprocess.run([*command, str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("remit-*.whl")
    return built


@pytest.fixture
def site(wheel: Path, tmp_path: Path) -> Path:
    """A folder with what the wheel puts into site-packages."""
    folder = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project whose modules have names that we use; each says so and fails when it is imported."""
    folder = tmp_path / "project"
    for name in ("server", "storage", "templates", "mcp", "anyio"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise SystemExit('imported the {name} of the project')\n")
    return folder


def test_the_wheel_adds_nothing_but_remit_to_site_packages(site: Path) -> None:
    top = {entry.name for entry in site.iterdir()}
    assert {name.partition("-")[0] for name in top} == {"remit.py", "remit_app", "remit"}


START = pytest.mark.parametrize("options", [["{site}/remit.py"], ["-m", "remit"]], ids=["script", "module"])
FIRST = pytest.mark.parametrize("named", ["{project}:{site}", "{site}"], ids=["on PYTHONPATH", "the current folder"])


@START
@FIRST
async def test_a_project_does_not_hide_our_modules_in_a_checkout(
    checkout: Checkout, project: Path, options: list[str], named: str
) -> None:
    await _answers(checkout.launcher.parent, project, options, named)


@START
@FIRST
async def test_a_project_does_not_hide_our_modules_from_a_wheel(
    site: Path, home: Path, project: Path, options: list[str], named: str
) -> None:
    await _answers(site, project, options, named)
    (server,) = servers(home)
    assert str(site / "remit.py").encode() in command_line(server)


@START
@FIRST
@pytest.mark.usefixtures("home")
async def test_a_project_does_not_hide_what_the_inline_server_imports(
    site: Path, project: Path, options: list[str], named: str
) -> None:
    await _answers(site, project, options, named, REMIT_SERVER="inline")


async def _answers(site: Path, project: Path, options: list[str], named: str, **environment: str) -> None:
    """Check that a window opened in the project, with `named` on PYTHONPATH, gets an answer."""
    arguments = [option.format(site=site) for option in options]
    environment["PYTHONPATH"] = named.format(project=project, site=site)
    async with await anyio.open_process(
        [sys.executable, *arguments],
        cwd=project,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        await process.stdin.send(REQUEST)
        assert json.loads(await process.stdout.receive())["id"] == 1


@pytest.mark.parametrize(
    "arguments", [[], ["list"], ["agents"], ["doctor"], ["server", "status"], ["run", "echo hi"], ["worktrees"]]
)
def test_in_a_folder_that_was_removed_it_works_without_a_traceback(
    home: Path, tmp_path: Path, arguments: list[str]
) -> None:
    done = _run_in_a_removed_folder(tmp_path, *arguments)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1)


def test_a_relative_state_folder_is_refused_where_the_current_folder_was_removed(home: Path, tmp_path: Path) -> None:
    done = _run_in_a_removed_folder(tmp_path, "list", REMIT_HOME="state")
    assert "'state' is a relative path, and the folder that remit was started in is gone" in done.stderr


def _run_in_a_removed_folder(tmp_path: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    gone = tmp_path / "gone"
    gone.mkdir()
    command = ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", sys.executable, str(ROOT / "remit.py"), *arguments]
    return subprocess.run(
        command,
        cwd=gone,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
