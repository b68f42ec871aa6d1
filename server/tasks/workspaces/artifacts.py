"""The files of a task, listed and read with every secret masked; if one cannot be masked, they are refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from mimetypes import MimeTypes
from pathlib import Path

from anyio import to_thread

from server.errors import Code, RemitError
from server.runner.filesystem.safe_open import identity
from server.runner.workspace.artifacts import Artifact, list_artifacts, read_artifact
from server.runner.workspace.delivery import UPLOADS
from server.runner.workspace.workspaces import Workspaces
from server.tasks.callers import Caller
from server.tasks.requests.request_models import ReadArtifacts
from server.tasks.secrets import masking
from server.tasks.secrets.index import SecretIndex
from server.tasks.secrets.masking import Masker, part
from server.tasks.secrets.vault import SecretVault
from server.tasks.views import view_models
from server.tasks.views.formatting import time
from server.tasks.working_directory import top_folder
from server.tasks.workspaces.selection import Folders
from server.threads import stepped
from storage.interface import Store
from storage.records.masked import MaskedText
from storage.records.tasks import NOBODY, Task
from templates.steps import Steps

FILES = 100
"""Files of a page by default."""

PIECE = 7_000
"""Bytes of a piece by default: an answer of this size is cut by no host, like that of `get_task`."""

_TYPES = MimeTypes()  # Python's own table, the same on every machine


@dataclass(frozen=True, slots=True)
class _Masking:
    """The maskers of a task's secrets for file names and for bytes, and the secrets whose values are gone."""

    names: Masker
    content: Masker
    lost: list[str]


class Artifacts:
    """The files of tasks; of ended ones as long as their folders are kept."""

    def __init__(self, store: Store, vault: SecretVault, workspaces: Workspaces, folders: Folders) -> None:
        self._folders = folders
        self._store = store
        self._index = SecretIndex(store, vault)
        self._workspaces = workspaces

    async def page(self, caller: Caller, request: ReadArtifacts) -> view_models.ArtifactsView:
        """Return a page of the files, in the order of their paths. Raises RemitError: NOT_FOUND, SECRETS_LOST."""
        folder = await self._folder(caller, request.id)
        masks = await self._masking(caller, request.id)
        found = await to_thread.run_sync(list_artifacts, folder)
        end = request.offset + (request.limit or FILES)
        is_own = folder == _placed(self._workspaces.path(request.id))
        files = found.files[request.offset : end]
        size = sum(len(file.path) for file in files)
        shown = await stepped(size, _showing(files, masks.names, is_own=is_own))
        view = view_models.ArtifactsView(files=shown, total=len(found.files))
        if end < len(found.files):
            view["nextOffset"] = end
        if found.partial:
            view["partial"] = True
        return _warned(view, masks)

    async def piece(self, caller: Caller, request: ReadArtifacts, path: str) -> view_models.ArtifactsView:
        """Return a piece of one file: text if it is UTF-8, else base64. Raises RemitError: NOT_FOUND, SECRETS_LOST."""
        folder = await self._folder(caller, request.id)
        masks = await self._masking(caller, request.id)
        length = request.limit or PIECE
        try:
            piece = await to_thread.run_sync(read_artifact, folder, path, request.offset, length, masks.content.longest)
        except RemitError as error:
            text = f"path: {error.message}; without path the files are listed"
            raise RemitError(error.code, text, field="path", **error.details) from None
        length = _whole_characters(piece.content)
        view = view_models.ArtifactsView(size=piece.size, mimeType=_mime_type(path), modifiedAt=time(piece.modified_at))
        start = len(piece.before)
        data = piece.before + piece.content + piece.after
        form, shown = await masks.content.content(data, start, start + length)
        view[form] = shown
        if request.offset + length < piece.size and length:
            view["nextOffset"] = request.offset + length
        return _warned(view, masks)

    async def _folder(self, caller: Caller, task_id: str) -> Path:
        """Return the top folder that a task works in. Raises RemitError (NOT_FOUND): when there is none any more."""
        task = await self._store.task(caller.principal, task_id)
        if task.agent == NOBODY:
            raise RemitError(
                Code.NOT_FOUND, "the task has no files, since this server does not execute it (agentId none)"
            )
        workspace = await self._store.workspace(caller.principal, task_id)
        self._folders.check(workspace)
        folder = top_folder(workspace, self._workspaces.path(task.id))
        if workspace is None or workspace.owner == "task" or workspace.repository is not None:
            folder = _placed(folder)
        if not await to_thread.run_sync(_is_there, folder):
            raise RemitError(Code.NOT_FOUND, _why_gone(task))
        return folder

    async def _masking(self, caller: Caller, task_id: str) -> _Masking:
        """Return the maskers for the secrets of all the task's turns.

        Raises RemitError (SECRETS_LOST): when values are gone, unless a person asks in a terminal.
        """
        known = await self._index.of_all_turns(task_id)
        lost = sorted({record.name for record in known.lost})
        if lost and not caller.person:
            raise RemitError(
                Code.SECRETS_LOST,
                f"the values of {', '.join(lost)} are kept for one turn, and cannot be masked in the task's files any "
                "more: a person can read them with `remit artifacts`; secrets by name (secretNames) do not have this "
                "limit",
                missing=lost,
            )
        as_bytes = [(name, value.encode().decode("latin-1")) for name, value in known.values]
        names = await masking.masker({}, known.values)
        content = await masking.masker({}, [*known.values, *as_bytes])
        return _Masking(names, content, lost)


def _placed(folder: Path) -> Path:
    """Return one of the server's own folders with symlinks resolved in its parent, the state folder's path."""
    return folder.parent.resolve() / folder.name


def _is_there(folder: Path) -> bool:
    """Return whether a folder exists and is no symlink: others may write its parent folder."""
    try:
        identity(folder)
    except OSError:
        return False
    return True


def _why_gone(task: Task) -> str:
    if task.workspace_removed_at is not None:
        return f"the task's files were removed {time(task.workspace_removed_at)}"
    return "the task has no files yet" if task.started_at is None else "the task's folder is gone"


def _whole_characters(content: bytes) -> int:
    """Return how many bytes of UTF-8 text end with a whole character; of anything else, all."""
    for cut in range(min(4, len(content))):
        try:
            content[: len(content) - cut].decode()
        except UnicodeDecodeError:
            continue
        return len(content) - cut
    return len(content)


def _showing(files: Sequence[Artifact], masker: Masker, *, is_own: bool) -> Steps[list[view_models.ArtifactView]]:
    shown = []
    for file in files:
        path = yield from masker.masking(file.path.encode(errors="surrogateescape").decode(errors="replace"))
        shown.append(_file(file, path, is_own=is_own))
    return shown


def _file(file: Artifact, path: MaskedText, *, is_own: bool) -> view_models.ArtifactView:
    return view_models.ArtifactView(
        name=part(path, path.rfind("/") + 1),
        path=path,
        size=file.size,
        mimeType=_mime_type(path),
        category="upload" if is_own and path.startswith(f"{UPLOADS}/") else "output",
        modifiedAt=time(file.modified_at),
    )


def _mime_type(path: str) -> str:
    return _TYPES.guess_type(path)[0] or "application/octet-stream"


def _warned(view: view_models.ArtifactsView, masks: _Masking) -> view_models.ArtifactsView:
    if masks.lost:
        view["notMasked"] = masks.lost
    return view
