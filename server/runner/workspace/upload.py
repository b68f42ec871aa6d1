"""Uploads, the files sent with a message: checks of their names and sizes, and reading their sources."""

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from server.errors import Code, RemitError
from server.limits import MAX_FILES, MAX_INLINE_BYTES, MIB
from server.runner.filesystem.safe_open import CHUNK_BYTES, open_regular

MAX_FILE_BYTES = 50 * MIB  # of each file, as in the API that the tool implements
MAX_PATH_BYTES = 1024  # a quarter of Linux's PATH_MAX, so that the workspace's own path fits before it
MAX_PART_BYTES = 255  # Linux's NAME_MAX


@dataclass(frozen=True, slots=True)
class Upload:
    """A file for `uploads/`, given as its content or as a source to copy from.

    `path` is relative to `uploads/`; `source` is absolute, or relative to the folder in which the client was started.
    """

    path: str
    content: bytes | None = field(default=None, repr=False)
    source: Path | None = None

    def __post_init__(self) -> None:
        if (self.content is None) == (self.source is None):
            raise ValueError("an upload has either content or a source")


class SourceFolder:
    """The folder in which a client was started: sources must lie beneath it."""

    def __init__(self, folder: Path | None, *, private: Path) -> None:
        """Accept sources beneath `folder`, but never beneath `private`, the state folder."""
        self._folder = folder
        self._private = private.resolve()

    def open(self, source: Path) -> BinaryIO:
        """Open the regular file `source`, following no symlink beneath the folder.

        Raises RemitError: VALIDATION_ERROR for a source that is not allowed, NOT_FOUND if it does not exist.
        """
        folder = self._usable()
        path = PurePosixPath(folder, source)
        if not path.is_relative_to(folder) or path.is_relative_to(self._private):
            where = f"{str(folder)!r}, the folder this client was started in"
            raise _unusable(f"must be a file beneath {where}, and not one of this server's own")
        return open(open_regular(folder, str(path.relative_to(folder))), "rb", buffering=0)

    def _usable(self) -> Path:
        # Beneath a home folder, or a folder above it, a careless path could upload private keys.
        if self._folder is None:
            raise _unusable("cannot be used: this client was not started in a folder; send the content instead")
        folder = self._folder.resolve()
        if Path.home().resolve().is_relative_to(folder):
            raise _unusable(f"cannot be used in {str(folder)!r}: start the client in a project's folder")
        return folder


def check_uploads(uploads: Sequence[Upload]) -> None:
    """Check the number of uploads, the size of their inline content, and their paths.

    Raises RemitError: LIMIT_EXCEEDED or VALIDATION_ERROR, with the `field` at fault in its details.
    """
    if len(uploads) > MAX_FILES:
        raise _too_much("files", f"at most {MAX_FILES} files can come with a message", MAX_FILES)
    if sum(len(upload.content or b"") for upload in uploads) > MAX_INLINE_BYTES:
        why = f"inline content is limited to {MAX_INLINE_BYTES} bytes in all; send large files by source"
        raise _too_much("files", why, MAX_INLINE_BYTES)
    for number, upload in enumerate(uploads):
        if problem := _problem_with(upload.path):
            raise invalid(path_field(number), problem)
    _check_clashes(uploads)


def write_upload(upload: Upload, number: int, target: Path, sources: SourceFolder) -> None:
    """Write an upload, `files[number]` of its message, to the new file `target`, and flush it to disk.

    Raises RemitError: LIMIT_EXCEEDED or VALIDATION_ERROR, with the `field` at fault in its details.
    """
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        if upload.source is None:
            file.write(upload.content or b"")
        else:
            _copy(upload.source, f"files[{number}].source", file, sources)
        file.flush()
        os.fsync(file.fileno())


def path_field(number: int) -> str:
    """Return the field name of the path of `files[number]`, for errors."""
    return f"files[{number}].path"


def invalid(name: str, problem: str) -> RemitError:
    """Return the error VALIDATION_ERROR for the field `name`."""
    return RemitError(Code.VALIDATION_ERROR, f"{name}: {problem}", field=name)


def _copy(path: Path, name: str, target: BinaryIO, sources: SourceFolder) -> None:
    try:
        source = sources.open(path)
    except RemitError as error:
        raise invalid(name, error.message) from error
    copied = 0  # counted, as the file can grow meanwhile
    with source:
        while chunk := source.read(CHUNK_BYTES):
            copied += len(chunk)
            if copied > MAX_FILE_BYTES:
                raise _too_much(name, f"a file is limited to {MAX_FILE_BYTES} bytes", MAX_FILE_BYTES)
            target.write(chunk)


def _problem_with(path: str) -> str | None:
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "must be valid UTF-8"
    parts = encoded.split(b"/")
    if {b"", b".", b".."}.intersection(parts):
        return "must be a relative path without '.', '..' or empty parts"
    if "\\" in path or any(unicodedata.category(character) == "Cc" for character in path):
        return "must not contain backslashes or control characters"
    if len(encoded) > MAX_PATH_BYTES or max(map(len, parts)) > MAX_PART_BYTES:
        return f"is limited to {MAX_PATH_BYTES} bytes, and to {MAX_PART_BYTES} between two slashes"
    return None


def _check_clashes(uploads: Sequence[Upload]) -> None:
    files: dict[str, int] = {}
    folders: dict[str, int] = {}
    for number, upload in enumerate(uploads):
        *parents, path = accumulate(upload.path.split("/"), "{}/{}".format)
        if path in files:
            raise invalid(path_field(number), f"is the path of files[{files[path]}] as well")
        if path in folders:
            raise invalid(path_field(number), f"is a folder in the path of files[{folders[path]}]")
        for parent in parents:
            if parent in files:
                raise invalid(path_field(number), f"leads through files[{files[parent]}], which is a file")
            folders[parent] = number
        files[path] = number


def _unusable(problem: str) -> RemitError:
    return RemitError(Code.VALIDATION_ERROR, problem)


def _too_much(name: str, problem: str, limit: int) -> RemitError:
    return RemitError(Code.LIMIT_EXCEEDED, f"{name}: {problem}", field=name, limit=limit)
