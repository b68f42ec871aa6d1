"""Selection of the user's folder that a task works in: what the settings allow, and in which mode."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from anyio import to_thread

from server.errors import Code, RemitError
from server.runner.git.repository import Repository, find_repository, git_is_installed
from server.runner.scanning.protected import BESIDE_GIT, OTHER_SYSTEMS
from server.tasks.callers import Caller
from server.tasks.repository_record import recorded, repository_of
from server.tasks.requests.parts import WorkspaceRequest
from server.tier_names import TierName, confines, protects
from storage.records.workspaces import Mode, Workspace

_MOST_LINKS = 40  # that Linux follows: path_resolution(7)

_OUTSIDE = "is not within the folders of the setting workspaces"
_PRIVATE = "contains this server's own files, or lies among them"
_BORROWED = "the git repository it lies in, or borrows objects from,"
_USE = "use mode readonly or readwrite"


class Folders:
    """The user's folders that the operator allows tasks to work in."""

    def __init__(self, allowed: Sequence[Path], private: Sequence[Path]) -> None:
        """Create the selection. `allowed` is the setting `workspaces`; `private` are paths no task may see."""
        self._allowed = allowed
        self._private = [place for path in private for place in _ways(path)]

    async def choose(self, caller: Caller, request: WorkspaceRequest) -> tuple[Workspace, list[str]]:
        """Return the folder that a task asks for, and warnings about it.

        Raises RemitError: VALIDATION_ERROR that names the field; EXECUTION_ERROR when git does not answer in time.
        """
        path = await to_thread.run_sync(self._resolved, caller, request.path, abandon_on_cancel=True)
        repository = None if request.mode in ("readonly", "readwrite") else await self._repository(path, request.mode)
        mode: Mode = request.mode or ("worktree" if repository else "readonly")
        if request.shared and mode != "readwrite":
            raise _refused("workspace.shared", f"goes with mode readwrite, not with {mode}")
        workspace = Workspace(
            mode=mode,
            path=str(path),
            shared=request.shared,
            reaches=repository.reaches if repository else (str(path),),
            repository=recorded(repository) if repository else None,
        )
        warnings = [] if request.mode or repository else [f"the task can only read {path}: {_why_no_worktree()}"]
        if repository and repository.has_submodules:
            warnings.append("submodules are not checked out in the task's worktree")
        return workspace, warnings

    def _resolved(self, caller: Caller, asked: str) -> Path:
        """Return the folder, symlinks resolved. One outside the allowed folders is refused alike, existing or not."""
        if caller.folder is None and not Path(asked).is_absolute():
            raise _refused("workspace.path", "must be absolute: this client was not started in a folder")
        try:
            path = Path(caller.folder or "/", asked).resolve()
        except (OSError, RuntimeError, ValueError):
            raise self._not_allowed() from None
        self._check_allowed(path)
        if self._is_private(path):
            raise _refused("workspace.path", _PRIVATE)
        if Path.home().resolve().is_relative_to(path):
            raise _refused("workspace.path", "is a home, or holds one; name a project's folder in it")
        if not os.path.isdir(path):
            raise _refused("workspace.path", "must be a folder that exists")
        return path

    async def _repository(self, path: Path, mode: Mode | None) -> Repository | None:
        if mode is None and not git_is_installed():
            return None
        repository = await find_repository(path)
        if repository is None:
            if mode == "worktree":
                raise _refused("workspace.mode", f"worktree needs a git repository, and the folder is in none; {_USE}")
            return None
        for folder in map(Path, _whole(repository)):
            if not self._is_allowed(folder):
                raise _refused("workspace.path", f"{_BORROWED} {_OUTSIDE}; {_USE}")
            if self._is_private(folder):
                raise _refused("workspace.path", f"{_BORROWED} {_PRIVATE}; {_USE}")
        return repository

    def check(self, workspace: Workspace | None) -> None:
        """Check that a task's folder is still allowed: the settings may have changed, and so may its symlinks.

        Raises RemitError (FORBIDDEN): when it is not.
        """
        if workspace is None:
            return
        shared = (
            {workspace.path} if workspace.owner == "task" else set()
        )  # one of the server's own folders, not the user's
        repository = repository_of(workspace.repository) if workspace.repository else None
        for path in {workspace.path, *workspace.reaches, *(_whole(repository) if repository else ())} - shared:
            if not self._is_allowed(Path(path)):
                raise RemitError(Code.FORBIDDEN, f"workspace: {path} {_OUTSIDE}")
            if self._is_private(Path(path)):
                raise RemitError(Code.FORBIDDEN, f"workspace: {path} {_PRIVATE}")

    def _check_allowed(self, path: Path) -> None:
        if not self._is_allowed(path):
            raise self._not_allowed()

    def _is_allowed(self, path: Path) -> bool:
        return _is_within(path, self._allowed)

    def _is_private(self, path: Path) -> bool:
        return any(private.is_relative_to(path) or path.is_relative_to(private) for private in self._private)

    def _not_allowed(self) -> RemitError:
        if not self._allowed:
            return _refused(
                "workspace.path",
                "the settings allow tasks no folder: ask the user to name one there, like workspaces = "
                '["~/projects"] (`remit doctor` tells in which file), or leave workspace out and send single files in '
                "files",
            )
        named = ", ".join(map(str, self._allowed))
        return _refused("workspace.path", f"must be a folder at or beneath one of the setting workspaces: {named}")


def check_tier(workspace: Workspace | None, tier: TierName, *, allow_hooks: bool) -> None:
    """Refuse a folder and mode that a sandbox tier cannot protect.

    Raises RemitError (SANDBOX_UNAVAILABLE): when it cannot, unless `allow_hooks` accepts the risk.
    """
    if workspace is None or workspace.mode == "worktree":
        return
    if workspace.mode == "readonly":
        if not confines(tier):
            raise _not_held("this server has no sandbox, so that readonly cannot be enforced; use readwrite")
        return
    if allow_hooks or workspace.owner == "task":
        return
    if not protects(tier):
        raise _not_held(
            f"this server's sandbox ({tier}) cannot keep a task from writing what the user's tools would execute there "
            "(.git/hooks, .envrc, .vscode …); allowHooks accepts that"
        )
    if _is_executed(Path(workspace.path)):
        raise _not_held(
            "the user's own tools execute files in that folder; allowHooks accepts that the task can write them"
        )


def _why_no_worktree() -> str:
    return "it is in no git repository" if git_is_installed() else "git is not installed here"


def _whole(repository: Repository) -> tuple[str, ...]:
    """Return every folder of a repository: its working files, git's own, and those it borrows objects from."""
    return (repository.top or repository.git, *repository.reaches)


def _ways(path: Path) -> Iterator[Path]:
    """Yield a path and each symlink on the way to it: writing any of them would redirect it."""
    for _ in range(_MOST_LINKS):
        own = path.parent.resolve() / path.name
        yield own
        if not os.path.islink(own):
            return
        path = own.parent / own.readlink()


def _is_within(path: Path, allowed: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder.resolve()) for folder in allowed)


def _is_executed(path: Path) -> bool:
    """Return whether a folder lies within git's (or a similar system's) files, or an editor's settings."""
    own = {*BESIDE_GIT, *OTHER_SYSTEMS}
    return any(
        folder.name in own or all(os.path.exists(folder / name) for name in ("HEAD", "objects", "refs"))
        for folder in (path, *path.parents)
    )


def _not_held(why: str) -> RemitError:
    return RemitError(Code.SANDBOX_UNAVAILABLE, f"workspace.mode: {why}", field="workspace.mode")


def _refused(field: str, why: str) -> RemitError:
    return RemitError(Code.VALIDATION_ERROR, f"{field}: {why}", field=field)
