"""The user's repository, as the server itself accesses it: it is inspected, and receives packs of objects.

Nothing in it is executed: no hook, no filter, no file system monitor, and only its own configuration is read. Git's
messages about it are not passed on, as they could quote a file to which a symlink in it leads.
"""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.from_thread import check_cancelled

from server.errors import Code, RemitError
from server.runner.filesystem.safe_open import CHUNK_BYTES, open_beneath, open_folder, reached, read_regular
from server.runner.git import git_command
from server.runner.git.alternates import Unreadable, folders_of_objects
from server.runner.host_paths import SEARCH_PATH

SECONDS = 30.0
"""Time limit for inspecting a repository; it takes about 20 ms."""

SHALLOW_BYTES = 64 * 1024**2
"""Size of the file `shallow`: a million commits."""

BRANCHES = "remit/"

SHALLOW = "shallow"
"""The file that lists the commits at which a shallow clone's history is cut off."""


class NotCarried(RemitError):
    """A task's commits did not reach the user's repository; the text says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(Code.CONFLICT, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """The user's repository at one of its commits, for a worktree that borrows its objects."""

    git: str
    """Its common git directory, which all its worktrees share."""

    objects: tuple[str, ...]
    """Its object folders: its own first, then those that it borrows from."""

    top: str | None
    """The top of its working tree; None for a bare repository."""

    inside: str
    """The requested folder, relative to `top`; empty for the top itself."""

    base: str
    """The commit that HEAD is at."""

    format: str
    """The object format: sha1 or sha256."""

    has_submodules: bool

    @property
    def reaches(self) -> tuple[str, ...]:
        """The folders of the repository that a worktree's commands can read."""
        return (self.git, *self.objects)

    def check_place(self) -> None:
        """Raise RemitError (EXECUTION_ERROR) if one of its folders was removed or replaced by a symlink."""
        for folder in map(Path, self.reaches):
            if not folder.is_dir() or folder.resolve() != folder:
                raise RemitError(
                    Code.EXECUTION_ERROR,
                    f"workspace: the repository is not where it was when the task was created ({folder} is gone or "
                    "leads elsewhere)",
                )

    def copy_shallow(self, folder: Path) -> None:
        """Copy its file `shallow`, if there is one, to a folder. Blocks. Raises RemitError."""
        try:
            content = read_regular(Path(self.git), SHALLOW, limit=SHALLOW_BYTES)
        except RemitError as error:
            if error.code is Code.NOT_FOUND:
                return
            raise
        (folder / SHALLOW).write_bytes(content)

    def take_pack(self, folder: Path, name: str, task_id: str) -> None:
        """Copy a verified pack with its index (`name` without suffix) from `folder` to its objects. Blocks.

        The name is git's own, a checksum of the content: a pack of this name that exists is the same one, and stays.
        To be run in a worker thread: it stops, and removes what it wrote, when the waiting task is cancelled.
        Raises NotCarried.
        """
        try:
            with reached(Path(self.objects[0])) as objects:
                with suppress(FileExistsError):
                    os.mkdir("pack", dir_fd=objects)
                _take(folder, name, objects, f"tmp_remit_{task_id}")
        except (OSError, RemitError) as error:
            raise NotCarried(f"the objects cannot be written to {self.objects[0]}: {error}") from error


def branch_of(task_id: str) -> str:
    """Return the name of a task's branch."""
    return f"{BRANCHES}{task_id}"


def git_is_installed() -> bool:
    """Return whether git is installed where sandboxed commands find it, too."""
    return shutil.which("git", path=SEARCH_PATH) is not None


async def find_repository(folder: Path) -> Repository | None:
    """Return the repository that contains a folder (no symlinks in its path), at its commit; None if there is none.

    Raises RemitError: VALIDATION_ERROR for a repository that worktrees cannot use, with the reason; EXECUTION_ERROR if
    git takes too long.
    """
    if not git_is_installed():
        raise _unusable("git is not installed here; install it, or use mode readonly or readwrite")
    try:
        with anyio.fail_after(SECONDS):
            return await _found(folder)
    except TimeoutError:
        raise RemitError(Code.EXECUTION_ERROR, f"git took more than {SECONDS:.0f} s in the repository") from None


async def _found(folder: Path) -> Repository | None:
    facts = await git_command.ask(
        folder, "rev-parse", "--is-inside-work-tree", "--is-bare-repository", "--show-object-format"
    )
    if "not a git repository" in facts.complaint:
        return None
    if "dubious ownership" in facts.complaint:
        raise _unusable("the repository is somebody else's, which git calls dubious ownership and does not work in")
    if facts.status:
        raise _unusable("git cannot be used there; `git status` in that folder says why")
    inside, bare, kind = facts.said.split()
    if "true" not in (inside, bare):
        raise _unusable("lies within git's own files")
    common, objects = await _named(folder, "--path-format=absolute", "--git-common-dir", "--git-path", "objects")
    base = await _base(folder)
    top = None if bare == "true" else await _top(folder)
    found = Repository(
        git=str(common),
        objects=await to_thread.run_sync(_folders_of_objects, objects, abandon_on_cancel=True),
        top=None if top is None else str(top),
        inside="" if top is None or top == folder else str(folder.relative_to(top)),
        base=base,
        format=kind,
        has_submodules=await _has(folder, f"{base}:.gitmodules"),
    )
    await _check_names(folder, found)
    return found


async def _base(folder: Path) -> str:
    found = await git_command.ask(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if found.status:
        raise _unusable("the repository has no commit yet; commit something, or use mode readonly or readwrite")
    return found.said.strip()


async def _top(folder: Path) -> Path:
    (top,) = await _named(folder, "--show-toplevel")
    if not folder.is_relative_to(top):
        raise _unusable("the repository's working files are elsewhere (core.worktree)")
    return top


async def _check_names(folder: Path, repository: Repository) -> None:
    """Check that the folder is in the commit, and that no branch `remit` prevents branches `remit/ID`.

    Raises RemitError (VALIDATION_ERROR).
    """
    if repository.inside and not await _has(folder, f"{repository.base}:{repository.inside}"):
        raise _unusable("is not in the repository's latest commit; commit it, or use mode readonly or readwrite")
    named = await git_command.ask(folder, "rev-parse", "--verify", "--quiet", f"refs/heads/{BRANCHES.rstrip('/')}")
    if not named.status:
        raise _unusable("the repository has a branch remit, so that none can be called remit/ID; rename it")


def _folders_of_objects(objects: Path) -> tuple[str, ...]:
    try:
        return tuple(map(str, folders_of_objects(objects)))
    except Unreadable as error:
        raise _unusable(str(error)) from None


async def _has(folder: Path, name: str) -> bool:
    return (await git_command.ask(folder, "cat-file", "-e", name)).status == 0


async def _named(folder: Path, *arguments: str) -> list[Path]:
    """Return the paths that `git rev-parse` prints for these options, symlinks resolved. Raises RemitError."""
    wanted = sum(argument in ("--git-common-dir", "--git-path", "--show-toplevel") for argument in arguments)
    lines = (await git_command.ask(folder, "rev-parse", *arguments)).said.splitlines()
    if len(lines) != wanted or not all(lines):
        raise _unusable("git does not say where its files are, or their path has a line break")
    return await to_thread.run_sync(_resolved, lines, abandon_on_cancel=True)


def _resolved(names: list[str]) -> list[Path]:
    return [Path(name).resolve() for name in names]


def _take(folder: Path, name: str, objects: int, draft: str) -> None:
    """Copy a pack under a temporary name, then rename it. After a crash, the same task replaces the temporary file."""
    suffixes = (".pack", ".idx")  # in git's own order: a pack is used once its index exists
    target = open_folder("pack", dir_fd=objects)
    try:
        if f"{name}.idx" not in os.listdir(target):
            for suffix in suffixes:
                _copy(folder, name + suffix, target, draft + suffix)
            for suffix in suffixes:
                os.rename(draft + suffix, name + suffix, src_dir_fd=target, dst_dir_fd=target)
        os.fsync(target)
    finally:
        for suffix in suffixes:
            with suppress(FileNotFoundError):
                os.unlink(draft + suffix, dir_fd=target)
        os.close(target)


def _copy(folder: Path, source: str, target: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=target)
    new = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444, dir_fd=target)
    with open(open_beneath(folder, source), "rb") as content, open(new, "wb") as copy:
        while chunk := content.read(CHUNK_BYTES):
            check_cancelled()
            copy.write(chunk)
        copy.flush()
        os.fsync(new)


def _unusable(problem: str) -> RemitError:
    return RemitError(Code.VALIDATION_ERROR, f"workspace.path: {problem}", field="workspace.path")
