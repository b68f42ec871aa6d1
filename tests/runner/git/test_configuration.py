"""Settings of git that are harmless."""

import time
from pathlib import Path

import pytest

from server.runner.filesystem.bounded_reader import BoundedReader
from server.runner.git.configuration import harmful
from server.runner.scanning.git_execution import of_git
from tests.growth import is_in_proportion

HARMLESS = """[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
[remote "origin"]
\turl = https://example.com/x.git
\tfetch = +refs/heads/*:refs/remotes/origin/*
[branch "main"]
\tremote = origin
\tmerge = refs/heads/main
"""


@pytest.mark.parametrize(
    "more",
    [
        "",
        "[advice]\n\tdetachedHead = false",
        '[remote "x"]\n\tpromisor = true\n\tpartialclonefilter = blob:none\n\tpushurl = git@example.com:x',
        '[filter "lfs"]\n\tclean = git-lfs clean -- %f\n\tprocess = git-lfs filter-process\n\trequired = true',
        "[core]\n\tfsmonitor = true\n\tsparseCheckout = true\n[extensions]\n\tworktreeConfig = true",
        "[pull]\n\trebase = true",
    ],
)
def test_what_git_and_tools_write_is_harmless(more: str) -> None:
    assert not harmful(f"{HARMLESS}{more}\n".encode())


@pytest.mark.parametrize(
    "line",
    [
        "[core]\n\tfsmonitor = x",
        "[core] fsmonitor = x",
        "[core]\n\tfileMode = true \\\n\tx\n\tfsmonitor = x",
        '[core "x"]\n[include]\n\tpath = x',
        '[includeIf "gitdir:/"]\n\tpath = x',
        '[remote "x"]\n\turl = ext::sh -c x',
        '[remote "x"]\n\tuploadpack = x',
        '[remote "x\\"]\n\turl = y',
        "[alias]\n\tst = !x",
        "[core]\n\tworktree = /",
        "[core]\n\thooksPath = x",
        '[filter "lfs"]\n\tclean = git-lfs clean -- %f; x',
        "[gc]\n\trecentObjectsHook = x",
        '[filter "x"]\n\tclean = x',
        "[core]\n\tfilemode = true\r[core]\r\tfsmonitor=x",
        "fsmonitor",
        "\ufeff[core]\n\tfsmonitor = x",
    ],
)
def test_all_else_is_not(line: str) -> None:
    assert harmful(f"{HARMLESS}{line}\n".encode())


SLOW = {
    "blanks after a name": '[core]\n\tbare ={blanks}"',
    "blanks in a heading": "[{blanks}core",
    "blanks in a value": "[core]\n\tworktree = x{blanks}y",
    "names in a path": '[remote "x"]\n\turl = {names}',
}


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW)
def test_what_is_long_takes_no_more_than_in_proportion(tmp_path: Path, text: str) -> None:
    def taken(size: int) -> list[float]:
        (tmp_path / "config").write_text(text.format(blanks=" " * size, names="a/" * (size // 2)))
        start = time.thread_time()
        assert dict(of_git(BoundedReader(tmp_path), tmp_path, ()))
        return [time.thread_time() - start]

    assert is_in_proportion(taken, 8_000, [0.001])
