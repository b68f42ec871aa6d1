"""Delivery of uploads to a workspace: all of them, or none."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from stat import S_ISDIR

from server.errors import Code, RemitError
from server.runner.filesystem.safe_open import deepest, sync_folder
from server.runner.workspace.upload import SourceFolder, Upload, path_field, write_upload

UPLOADS = "uploads"


def deliver(
    uploads: Sequence[Upload],
    folder: Path,
    stage: Path,
    sources: SourceFolder,
    *,
    beneath: tuple[str, ...] = (UPLOADS,),
) -> None:
    """Put all uploads into the sub-folder `beneath` of `folder` and flush them to disk, or none of them.

    An adversary may have written to `folder`. Files are written to `stage` first, an empty private folder on the same
    file system; the caller deletes what is left there.

    Raises RemitError: what `write_upload` raises, or CONFLICT if something in the workspace is in the way.
    """
    for number, upload in enumerate(uploads):
        _write(upload, number, stage / str(number), beneath, sources)
    targets = []
    with ExitStack() as held, ExitStack() as undo:
        for number, upload in enumerate(uploads):
            *parents, _ = parts = (*beneath, *upload.path.split("/"))
            with _conflict_at(path_field(number)):
                target, depth = held.enter_context(deepest(folder, parents))
                _move(stage / str(number), parts[: depth + 1], target, undo)
            targets.append(target)
        for target in targets:  # all at the end, so that one commit of the file system's journal is enough
            os.fsync(target)
        undo.pop_all()


def _write(upload: Upload, number: int, stage: Path, beneath: tuple[str, ...], sources: SourceFolder) -> None:
    """Write an upload beneath the new folder `stage`, under its final path."""
    target = stage.joinpath(*beneath, upload.path)
    folders = [folder for folder in target.parents if folder.is_relative_to(stage)]
    for folder in reversed(folders):
        folder.mkdir(mode=0o700)
    write_upload(upload, number, target, sources)
    for folder in folders:
        sync_folder(folder)


def _move(stage: Path, parts: Sequence[str], folder: int, undo: ExitStack) -> None:
    """Move the staged file at `parts`, or the topmost folder that the workspace lacks, into `folder`."""
    staged, name = stage.joinpath(*parts), parts[-1]
    _set_aside(name, folder, stage / "replaced", undo)
    os.rename(staged, name, dst_dir_fd=folder)
    undo.callback(os.rename, name, staged, src_dir_fd=folder)


def _set_aside(name: str, folder: int, aside: Path, undo: ExitStack) -> None:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    os.rename(name, aside, src_dir_fd=folder)
    undo.callback(os.rename, aside, name, dst_dir_fd=folder)


@contextmanager
def _conflict_at(field: str) -> Iterator[None]:
    try:
        yield
    except (NotADirectoryError, IsADirectoryError, PermissionError) as error:
        why = f"{field}: something in the workspace is in the way ({error.strerror}); use another path"
        raise RemitError(Code.CONFLICT, why, field=field) from error
