"""Git repositories of a person's, with work in progress in them."""

import os
import subprocess
from pathlib import Path

_WHO = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Ann"), ("EMAIL", "ann@example.com"))
}
_ALONE = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}


def git(folder: Path, *arguments: str, ok: bool = True) -> str:
    """Run git in a folder, and return its output; it must succeed unless `ok` is false."""
    return _run(folder, "git", "-c", "protocol.file.allow=always", *arguments, ok=ok)


def shell(folder: Path, script: str) -> str:
    """Run a person's commands in a folder, and return their output; they must succeed."""
    return _run(folder, "/bin/sh", "-ec", script, ok=True)


def _run(folder: Path, *argv: str, ok: bool) -> str:
    done = subprocess.run(argv, cwd=folder, env=_ALONE | _WHO, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not ok, done.stderr
    return done.stdout


def repository(folder: Path, *options: str) -> Path:
    """Return a repository with two files, one of them in a folder, in its only commit."""
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("one\n")
    (folder / "sub" / "b.txt").write_text("two\n")
    git(folder, "init", "-q", "-b", "main", *options)
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def in_progress(folder: Path) -> None:
    """Change what is committed in every way: staged, not staged, removed, and new."""
    (folder / "a.txt").write_text("mine, not staged\n")
    (folder / "staged.txt").write_text("mine, staged\n")
    git(folder, "add", "staged.txt")
    (folder / "new.txt").write_text("mine, unknown to git\n")


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a person's: those in the folder, and git's index, settings and HEAD."""
    own = [path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts]
    of_git = [folder / ".git" / name for name in ("index", "config", "HEAD")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in (*own, *of_git)}


def tip(folder: Path, branch: str) -> str:
    """Return the commit that a branch is at."""
    return git(folder, "rev-parse", f"refs/heads/{branch}").strip()


def branches(folder: Path) -> list[str]:
    """Return the branches of tasks."""
    return git(folder, "for-each-ref", "--format=%(refname:short)", "refs/heads/remit").split()


def text(*parts: object) -> str | None:
    """Return the text of a file; None if there is none."""
    path = Path(*map(str, parts))
    return path.read_text() if path.is_file() else None


def names(folder: Path, pattern: str = "*") -> set[str]:
    """Return the names in a folder."""
    return {path.name for path in folder.glob(pattern)}
