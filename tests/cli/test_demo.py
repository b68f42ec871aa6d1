"""`remit demo` shows everything, and leaves nothing behind."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine

SECRET_IN_SOME_FORM = ("correct horse", "Y29ycmVjdCBob3JzZ", "636f727265637420686f727365")


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    """Where the demo makes its folder; its server would be found by it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []
    assert _servers_beneath(folder) == []


def test_it_shows_each_part_in_order(remit: CommandLine, temporary: Path) -> None:
    done = remit("demo", TMPDIR=str(temporary))
    assert done.returncode == 0, done.stderr
    parts = (
        "Hello stranger, the letter has 10 words.",
        "The secret as it is:   [secret TOKEN]",
        "The secret in base64:  [secret TOKEN]",
        "The secret in hex:     [secret TOKEN]",
        "The server's own files are out of my reach.",
        "This call waits for a yes:",
        "I was allowed to run this.",
        "completed",
        "The private server is stopped",
    )
    places = [done.stdout.find(part) for part in parts]
    assert places == sorted(places)
    assert places[0] > 0
    assert [form for form in SECRET_IN_SOME_FORM if form in done.stdout] == []


def test_it_neither_reads_nor_touches_what_is_the_users(
    own_remit: CommandLine, temporary: Path, tmp_path: Path
) -> None:
    (tmp_path / "remit.toml").write_text("this would be refused")
    assert own_remit("demo", TMPDIR=str(temporary), REMIT_SANDBOX="refused as well").returncode == 0
    assert not own_remit.home.exists()


def test_ctrl_c_leaves_nothing_behind(remit: CommandLine, temporary: Path) -> None:
    with remit.at_terminal("demo", TMPDIR=str(temporary)) as demo:
        demo.expect("working … 3")
        demo.type("\x03")
        assert (demo.end(), "Traceback" in demo.shown) == (130, False)


@pytest.mark.skipif(os.geteuid() != 0, reason="without bubblewrap, others than root have Landlock")
def test_without_a_sandbox_it_tells_what_to_install(remit: CommandLine, temporary: Path, tmp_path: Path) -> None:
    done = remit("demo", TMPDIR=str(temporary), PATH=str(tmp_path))
    assert (done.returncode, "apt-get install bubblewrap" in done.stdout) == (2, True)


def _servers_beneath(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile
        if f"REMIT_HOME={folder}/".encode() in variables:
            found.append(process.name)
    return found
