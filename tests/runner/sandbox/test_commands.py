"""Commands: their input, and their results."""

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from server.errors import Code, RemitError
from server.runner.policy import ATTACHED, Command, SandboxPolicy
from server.runner.programs.launcher import NICE
from server.tier_names import TierName
from tests.runner.commands import Request, perform, run, sandbox_of


def shell(tier: TierName, workspace: Path, script: str) -> Request:
    return Request(tier=tier, argv=("/bin/sh", "-c", script), workspace=str(workspace))


async def test_the_status_is_the_commands_own(tier: TierName, workspace: Path) -> None:
    assert (await run(shell(tier, workspace, "exit 7"))).status == 7


async def test_a_signal_shows_as_128_and_its_number(tier: TierName, workspace: Path) -> None:
    assert (await run(shell(tier, workspace, "kill -TERM $$"))).status == 128 + 15


async def test_a_missing_program_ends_with_127_and_says_so(tier: TierName, workspace: Path) -> None:
    ran = await run(Request(tier=tier, argv=("no-such-program",), workspace=str(workspace)))
    assert (ran.status, ran.output) == (127, "cannot start no-such-program: No such file or directory\n")


async def test_a_file_that_may_not_be_executed_ends_with_126(tier: TierName, workspace: Path) -> None:
    (workspace / "plain").write_text("no program")
    ran = await run(Request(tier=tier, argv=("./plain",), workspace=str(workspace)))
    assert ran.status == 126


async def test_output_and_errors_come_merged_in_order(tier: TierName, workspace: Path) -> None:
    assert (await run(shell(tier, workspace, "echo 1; echo 2 >&2; echo 3"))).output == "1\n2\n3\n"


@pytest.mark.parametrize("tier", ["namespaces", "off"])
async def test_output_is_passed_on_while_the_command_still_runs(tier: TierName, workspace: Path) -> None:
    async def answer(_: bytes) -> None:
        (workspace / "answered").touch()

    waiting = "echo asked; until [ -e answered ]; do sleep 0.01; done; exit 5"
    with anyio.fail_after(10):
        ended = await perform(shell(tier, workspace, waiting), answer)
    assert ended.status == 5


@pytest.mark.parametrize("tier", ["namespaces", "off"])
async def test_no_piece_of_output_exceeds_64_kib(tier: TierName, workspace: Path) -> None:
    sizes: list[int] = []

    async def output(chunk: bytes) -> None:
        sizes.append(len(chunk))

    await perform(shell(tier, workspace, "head -c 10000000 /dev/zero"), output)
    assert sum(sizes) == 10_000_000
    assert max(sizes) <= 65536


async def test_the_environment_is_five_defaults_and_what_was_given(tier: TierName, workspace: Path) -> None:
    request = Request(tier=tier, argv=("/usr/bin/env",), workspace=str(workspace), env={"A": "1 = one", "LANG": "C"})
    lines = (await run(request)).output.splitlines()
    environment = dict(line.split("=", 1) for line in lines)
    assert set(environment) == {"A", "GIT_CONFIG_NOSYSTEM", "HOME", "LANG", "PATH", "TMPDIR"}
    assert (environment["A"], environment["LANG"]) == ("1 = one", "C")


async def test_home_and_the_temporary_folder_are_writable_and_gone_afterwards(tier: TierName, workspace: Path) -> None:
    ran = await run(shell(tier, workspace, 'for f in "$HOME/made" "$TMPDIR/made"; do touch "$f" && echo "$f"; done'))
    assert ran.status == 0
    assert not any(Path(path).exists() for path in ran.output.split())  # noqa: ASYNC240


async def test_it_works_in_its_workspace_at_the_same_path(tier: TierName, workspace: Path) -> None:
    ran = await run(shell(tier, workspace, "pwd; echo written > file"))
    assert ran.output == f"{workspace}\n"
    assert (workspace / "file").read_text() == "written\n"


async def test_its_input_is_empty(tier: TierName, workspace: Path) -> None:
    with anyio.fail_after(10):
        ran = await run(Request(tier=tier, argv=("/bin/cat",), workspace=str(workspace)))
    assert (ran.status, ran.output) == (0, "")


async def test_it_inherits_no_descriptor_but_three(tier: TierName, workspace: Path) -> None:
    listing = "for fd in $(seq 0 255); do [ -e /proc/$$/fd/$fd ] && echo $fd; done"
    assert (await run(shell(tier, workspace, listing))).output.split() == ["0", "1", "2"]


async def test_pipelines_end_when_their_reader_does(tier: TierName, workspace: Path) -> None:
    with anyio.fail_after(10):
        ran = await run(shell(tier, workspace, "yes | head -1"))
    assert ran.output == "y\n"


async def test_it_gives_way_to_its_neighbours(tier: TierName, workspace: Path) -> None:
    expected = os.getpriority(os.PRIO_PROCESS, 0) + NICE
    assert (await run(shell(tier, workspace, "nice"))).output == f"{expected}\n"


async def test_a_readable_folder_can_be_read_and_not_written(confining: TierName, workspace: Path) -> None:
    given = workspace.parent / "given"
    given.mkdir(mode=0o777)
    (given / "file").write_text("content\n")
    given.chmod(0o777)
    request = replace(shell(confining, workspace, f"cat {given}/file; touch {given}/new"), readable=(str(given),))
    ran = await run(request)
    assert ran.output.startswith("content\n")
    assert ran.status != 0
    assert not (given / "new").exists()


@pytest.mark.namespaces
async def test_a_readable_path_in_the_workspace_is_read_only_there(workspace: Path) -> None:
    protected = workspace / "hooks"
    protected.mkdir(mode=0o777)
    request = replace(shell("namespaces", workspace, "touch hooks/new"), readable=(str(protected),))
    assert (await run(request)).status != 0
    assert not (protected / "new").exists()


@pytest.mark.namespaces
async def test_nothing_runs_before_its_start_was_recorded(workspace: Path) -> None:
    async def refuse(_: object) -> None:
        raise RuntimeError("cannot be recorded")

    async def output(_: bytes) -> None:
        pass

    sandbox = await sandbox_of("namespaces")
    request = shell("namespaces", workspace, "touch ran")
    with pytest.raises(RuntimeError, match="cannot be recorded"):
        await sandbox.run(request.command(), request.policy(), started=refuse, output=output)
    assert not (workspace / "ran").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "no command"),
        (("/bin/echo", "x" * 131072), "128 KiB"),
        (("/bin/echo", "a\0b"), "NUL"),
        (("/bin/echo", "\ud800"), "half of a character"),
    ],
)
def test_a_command_the_kernel_could_not_take_is_refused(argv: tuple[str, ...], said: str) -> None:
    with pytest.raises(RemitError, match=said) as caught:
        Command(argv=argv, env={}).check()
    assert caught.value.code == Code.EXECUTION_ERROR


@pytest.mark.namespaces
async def test_an_argument_of_128_kib_less_its_end_is_taken(workspace: Path) -> None:
    request = Request(tier="namespaces", argv=("/bin/echo", "x" * 131071), workspace=str(workspace))
    assert len((await run(request)).output) == 131072


@pytest.mark.parametrize("path", ["/", "/usr", "/proc", "/no-such-folder", "relative"])
def test_a_workspace_that_cannot_be_given_is_refused(path: str) -> None:
    with pytest.raises(RemitError) as caught:
        SandboxPolicy(workspace=Path(path)).check()
    assert caught.value.code == Code.VALIDATION_ERROR
    assert caught.value.details == {"field": "workspace"}


def test_a_link_that_changes_while_it_is_looked_at_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(_: Path) -> Path:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))

    monkeypatch.setattr(Path, "resolve", changed)
    with pytest.raises(RemitError, match="leads elsewhere by now"):
        SandboxPolicy(workspace=tmp_path).check()


def test_a_command_does_not_show_its_environment() -> None:
    assert "hunter2" not in repr(Command(argv=("/bin/true",), env={"PASSWORD": "hunter2"}))


async def test_no_file_can_be_made_that_lends_its_owners_identity(confining: TierName, workspace: Path) -> None:
    await run(shell(confining, workspace, "cp /bin/true file; chmod u+s file; chmod g+s file; chmod 755 file"))
    assert stat.S_IMODE((workspace / "file").stat().st_mode) == 0o755


def attached(tier: TierName, workspace: Path, script: str) -> Request:
    return Request(tier=tier, argv=("/bin/sh", "-c", script), workspace=str(workspace), attached=64)


async def test_a_command_writes_into_the_memory_that_is_attached_to_it(tier: TierName, workspace: Path) -> None:
    script = f"echo said; echo written 1<>/proc/self/fd/{ATTACHED}"
    assert (await run(attached(tier, workspace, script))).output == "said\nwritten\n"


async def test_attached_memory_cannot_grow(tier: TierName, workspace: Path) -> None:
    script = f"head -c 100 /dev/zero | tr '\\0' x | dd bs=1 of=/proc/self/fd/{ATTACHED} conv=notrunc 2>/dev/null; true"
    assert (await run(attached(tier, workspace, script))).output == "x" * 64


async def test_a_command_has_nothing_else_open(tier: TierName, workspace: Path) -> None:
    ran = await run(attached(tier, workspace, "exec ls /proc/self/fd"))
    assert set(ran.output.split()) - {"0", "1", "2", "3"} == {str(ATTACHED)}
