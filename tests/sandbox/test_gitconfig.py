"""Settings of git that are harmless."""

import pytest

from server.runner.gitconfig import harmful

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
