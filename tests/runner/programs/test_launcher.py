"""The launcher runs nothing but a whole plan, and says why when it cannot."""

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.runner.policy import Command, SandboxPolicy
from server.runner.programs.copies import INSTALLED
from server.runner.tiers.plan import Confinement, encode
from tests.runner.commands import readable_python

COMMAND = Command(argv=("/bin/echo", "ran"), env={"A": "b"})


def launch(plan: bytes) -> tuple[int, bytes]:
    """Its status and all it said."""
    argv = (readable_python(), "-I", "-S", str(INSTALLED.launcher))
    done = subprocess.run(argv, input=plan, capture_output=True, check=False)
    assert done.stderr == b""
    return done.returncode, done.stdout


def plan(folder: Path) -> bytes:
    nothing = Confinement(home=folder, temporary=folder, neighbours=100_000, ruleset=None, program=None)
    return encode(COMMAND, SandboxPolicy(workspace=folder), nothing)


def test_a_whole_plan_is_carried_out(tmp_path: Path) -> None:
    assert launch(plan(tmp_path)) == (0, b"ready\ngo\nran\n")


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 1, exclude_max=True))
def test_of_a_plan_that_breaks_off_nothing_is_carried_out(part: float) -> None:
    with TemporaryDirectory(prefix="remit-test-") as folder:
        whole = plan(Path(folder))
    assert launch(whole[: int(part * len(whole))]) == (1, b"ready\n")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=20).filter(lambda record: b"\0" not in record), max_size=5))
def test_what_is_no_plan_is_answered_by_an_error(records: list[bytes]) -> None:
    status, said = launch(b"".join(record + b"\0" for record in (b"x", *records, b"end")))
    assert status == 1
    assert said.startswith(b"ready\nerror: ")


@pytest.mark.parametrize("record", [b"seccomp 00", b"ruleset 1 2", b"limit RLIMIT_NONE 1", b"ruleset 0 0 0"])
def test_a_confinement_that_fails_starts_nothing(record: bytes, tmp_path: Path) -> None:
    status, said = launch(record + b"\0" + plan(tmp_path))
    assert status == 1
    assert said.startswith(b"ready\nerror: ")
    assert b"ran" not in said
