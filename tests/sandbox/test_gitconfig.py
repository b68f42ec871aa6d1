"""Settings of git that are harmless."""

import pytest

from server.runner.gitconfig import is_harmless

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


def test_what_a_clone_writes_is_harmless() -> None:
    assert is_harmless(HARMLESS.encode())


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
        '[filter "x"]\n\tclean = x',
        "[extensions]\n\tworktreeConfig = true",
        "[core]\n\tfilemode = true\r[core]\r\tfsmonitor=x",
        "fsmonitor",
        "\ufeff[core]\n\tfsmonitor = x",
    ],
)
def test_all_else_is_not(line: str) -> None:
    assert not is_harmless(f"{HARMLESS}{line}\n".encode())
