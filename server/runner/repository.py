"""The user's repository, as the server itself touches it: looked at, and one branch of it moved.

Nothing in it is executed: no hook, no filter, no monitor, and no setting but the repository's own is read. Every method
blocks.
"""

import os
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from server.errors import Code, RemitError
from server.runner.folder import CHUNK_BYTES, deepest, open_beneath
from server.runner.system import SEARCH_PATH

SECONDS = 30.0
"""That git may take for one of these; they take some milliseconds."""

MOST_ALTERNATES = 20
"""Folders of objects; git itself follows five levels of them."""

BRANCHES = "remit/"

_ENVIRONMENT = {
    "PATH": SEARCH_PATH,
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # for versions that do not know the former; no setting of a repository lifts it
    "GIT_COMMITTER_NAME": "remit",
    "GIT_COMMITTER_EMAIL": "remit@localhost",
}
_SETTINGS = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0")


class NotCarried(Exception):
    """Why commits of a task did not reach the user's repository, in words for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository at one of its commits, for a worktree that borrows its objects."""

    git: str
    """Its own folder, which all its worktrees share."""

    objects: tuple[str, ...]
    """Where its objects are, its own folder first, those it borrows itself after it."""

    top: str | None
    """The top of its working files; None for a bare one."""

    inside: str
    """The folder that was asked for, relative to the top; empty for the top itself."""

    base: str
    """The commit that it is at."""

    format: str
    """How objects are named: sha1 or sha256."""

    has_submodules: bool

    def as_json(self) -> dict[str, Any]:
        """What is kept of it."""
        return asdict(self)

    @classmethod
    def of_json(cls, kept: dict[str, Any]) -> "Repository":
        """What was kept."""
        return cls(**kept | {"objects": tuple(kept["objects"])})

    @property
    def reaches(self) -> tuple[str, ...]:
        """The folders that a worktree's commands see of it."""
        return (self.git, *self.objects)

    @property
    def shallow(self) -> Path:
        """The file that says where its history is cut off, if it is."""
        return Path(self.git, "shallow")

    def check_place(self) -> None:
        """Raise RemitError (EXECUTION_ERROR) unless all of it is where it was when it was looked at."""
        for folder in map(Path, self.reaches):
            if not folder.is_dir() or folder.resolve() != folder:
                raise RemitError(
                    Code.EXECUTION_ERROR,
                    f"workspace: the repository is not where it was when the task was created ({folder} is gone or "
                    "leads elsewhere)",
                )

    def tip(self, branch: str) -> str | None:
        """The commit a branch of it is at; None where there is no such branch."""
        found = _git(Path(self.git), "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}")
        return found.stdout.strip() if found.returncode == 0 else None

    def make_branch(self, branch: str, commit: str) -> str:
        """Have a branch, and return the commit it is at: its own, or else `commit`, or the base if that is gone.

        Raises RemitError (EXECUTION_ERROR).
        """
        if tip := self.tip(branch):
            return tip
        start = commit if _has(Path(self.git), f"{commit}^{{commit}}") else self.base
        made = _git(Path(self.git), "update-ref", f"refs/heads/{branch}", start, "0" * len(start))
        if made.returncode:
            raise RemitError(Code.EXECUTION_ERROR, f"workspace: the branch {branch} cannot be made: {_reason(made)}")
        return start

    def check_branch(self, branch: str, known: str) -> str | None:
        """See that a branch may be moved: it is at `known`, or not there. Its commit; raises NotCarried."""
        if (tip := self.tip(branch)) not in (known, None):
            raise NotCarried(f"somebody else has moved the branch {branch}; it is left at {tip}")
        if self._is_checked_out(branch):
            raise NotCarried(f"the branch {branch} is checked out somewhere; it is left as it is")
        return tip

    def move_branch(self, branch: str, commit: str, known: str) -> None:
        """Move a branch that is at `known` to a commit whose objects are there. Raises NotCarried."""
        tip = self.check_branch(branch, known)
        moved = _git(Path(self.git), "update-ref", f"refs/heads/{branch}", commit, tip or "0" * len(commit))
        if moved.returncode:
            raise NotCarried(f"the branch {branch} cannot be moved: {_reason(moved)}")

    def drop_branch(self, branch: str) -> None:
        """Remove a branch that still stands at the base commit, unless somebody has it checked out."""
        if self.tip(branch) == self.base and not self._is_checked_out(branch):
            _git(Path(self.git), "update-ref", "-d", f"refs/heads/{branch}", self.base)

    def take_pack(self, folder: Path, name: str, task_id: str) -> None:
        """Copy a pack that was verified, `name` without its suffix, and its index from `folder` to the objects.

        The name is git's own, the checksum of what is in it: a pack that is there already is the same one, and stays.
        Raises NotCarried.
        """
        try:
            with suppress(FileExistsError):
                os.mkdir(Path(self.objects[0], "pack"))
            with deepest(Path(self.objects[0]), ["pack"]) as (target, depth):
                if not depth:
                    raise NotCarried("the repository has no folder for packs")
                if f"{name}.idx" not in os.listdir(target):
                    _take(folder, name, target, f"tmp_remit_{task_id}")
                os.fsync(target)
        except (OSError, RemitError) as error:
            raise NotCarried(f"the objects cannot be written to {self.objects[0]}: {error}") from error

    def _is_checked_out(self, branch: str) -> bool:
        found = _git(Path(self.git), "for-each-ref", "--format=%(worktreepath)", f"refs/heads/{branch}")
        return bool(found.stdout.strip())


def branch_of(task_id: str) -> str:
    """The branch of a task."""
    return f"{BRANCHES}{task_id}"


def git_is_installed() -> bool:
    """Whether there is a git that commands find as well."""
    return shutil.which("git", path=SEARCH_PATH) is not None


def find_repository(folder: Path) -> Repository | None:
    """The repository that a folder, named without links, lies in, at its commit; None where there is none.

    Raises RemitError (VALIDATION_ERROR) for one that cannot be borrowed from, with the reason.
    """
    if not git_is_installed():
        raise _unusable("git is not installed here; install it, or use mode readonly or readwrite")
    facts = _git(folder, "rev-parse", "--is-inside-work-tree", "--is-bare-repository", "--show-object-format")
    if "not a git repository" in facts.stderr:
        return None
    if facts.returncode:
        raise _unusable(f"git cannot be used there: {_reason(facts)}")
    inside, bare, kind = facts.stdout.split()
    if "true" not in (inside, bare):
        raise _unusable("lies within git's own files")
    git, objects = _named(folder, "--path-format=absolute", "--git-common-dir", "--git-path", "objects")
    base = _base(folder)
    top = None if bare == "true" else _top(folder)
    found = Repository(
        git=str(git),
        objects=tuple(map(str, _alternates(objects))),
        top=None if top is None else str(top),
        inside="" if top is None or top == folder else str(folder.relative_to(top)),
        base=base,
        format=kind,
        has_submodules=_has(folder, f"{base}:.gitmodules"),
    )
    _check_names(folder, found)
    return found


def _base(folder: Path) -> str:
    found = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if found.returncode:
        raise _unusable("the repository has no commit yet; commit something, or use mode readonly or readwrite")
    return found.stdout.strip()


def _top(folder: Path) -> Path:
    (top,) = _named(folder, "--show-toplevel")
    if not folder.is_relative_to(top):
        raise _unusable("the repository's working files are elsewhere (core.worktree)")
    return top


def _check_names(folder: Path, repository: Repository) -> None:
    """The folder must be in the commit, and no branch may have the name beneath which those of tasks lie."""
    if repository.inside and not _has(folder, f"{repository.base}:{repository.inside}"):
        raise _unusable("is not in the repository's latest commit; commit it, or use mode readonly or readwrite")
    if repository.tip(BRANCHES.rstrip("/")):
        raise _unusable("the repository has a branch remit, so that none can be called remit/ID; rename it")


def _alternates(objects: Path) -> list[Path]:
    """A folder of objects, and all that it borrows from."""
    found = [objects]
    for folder in found:
        try:
            named = Path(folder, "info", "alternates").read_text(errors="surrogateescape").splitlines()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unusable(f"the repository's objects cannot be read: {error.strerror}") from None
        for line in named:
            if line and not line.startswith("#"):
                other = Path(folder, line).resolve()
                found += [other] if other not in found else []
        if len(found) > MOST_ALTERNATES:
            raise _unusable("the repository borrows objects from too many others")
    return found


def _has(folder: Path, name: str) -> bool:
    return _git(folder, "cat-file", "-e", name).returncode == 0


def _named(folder: Path, *arguments: str) -> list[Path]:
    """The paths that git names for these questions, links resolved."""
    wanted = sum(argument in ("--git-common-dir", "--git-path", "--show-toplevel") for argument in arguments)
    lines = _git(folder, "rev-parse", *arguments).stdout.splitlines()
    if len(lines) != wanted or not all(lines):
        raise _unusable("git does not say where its files are, or their path has a line break")
    return [Path(line).resolve() for line in lines]


def _git(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    options = [part for setting in _SETTINGS for part in ("-c", setting)]
    try:
        return subprocess.run(
            ["git", *options, "-C", str(folder), *arguments],
            env=_ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RemitError(Code.EXECUTION_ERROR, f"git took more than {SECONDS:.0f} s in the repository") from None


def _take(folder: Path, name: str, target: int, draft: str) -> None:
    """Copy a pack under a name that a crash may leave, which the same task replaces when it tries again."""
    suffixes = (".pack", ".idx")  # in git's own order: a pack is used once its index is there
    for suffix in suffixes:
        _copy(folder, name + suffix, target, draft + suffix)
    for suffix in suffixes:
        os.rename(draft + suffix, name + suffix, src_dir_fd=target, dst_dir_fd=target)


def _copy(folder: Path, source: str, target: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=target)
    new = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444, dir_fd=target)
    with open(open_beneath(folder, source), "rb") as content, open(new, "wb") as copy:
        shutil.copyfileobj(content, copy, CHUNK_BYTES)
        copy.flush()
        os.fsync(new)


def _reason(done: "subprocess.CompletedProcess[str]") -> str:
    """The first line of what git says, with no character that a terminal would obey."""
    first, *_ = done.stderr.strip().splitlines() or ["no reason was given"]
    return re.sub(r"[^\x20-\x7e]", "?", first)


def _unusable(problem: str) -> RemitError:
    return RemitError(Code.VALIDATION_ERROR, f"workspace.path: {problem}", field="workspace.path")
