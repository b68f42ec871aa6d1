"""The look at what a command has left in a folder: bounded, since the command may have left any number of files."""

import os
from itertools import islice
from pathlib import Path

from server.errors import RemitError
from server.runner.filesystem.safe_open import open_folder, read_regular

MOST_FILES = 10_000
"""That are read: some second."""

MOST_BYTES = 32 * 1024**2
"""That are read of them all."""

MOST_SETTINGS = 1024**2
"""Bytes of settings that are taken apart: some second for the shortest lines; those of 3,000 common repositories."""

MOST_NAMES = 1000
"""In one folder of hooks."""

MOST_NAMES_IN_ALL = 100_000
"""In all folders of hooks."""

MOST_PATHS = 10_000
"""Paths in settings that are followed on the disk: some half a second."""


class BoundedReader:
    """Reads files of a workspace, regular ones reached through no link, until it has read enough. Blocks."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self._left = {"files": MOST_FILES, "bytes": MOST_BYTES, "settings": MOST_SETTINGS}
        self._left |= {"names": MOST_NAMES_IN_ALL, "paths": MOST_PATHS}

    @property
    def is_spent(self) -> bool:
        """Whether something was not read, since enough was."""
        return min(self._left.values()) < 0

    def read(self, path: Path, most: int) -> bytes | None:
        """A file of at most `most` bytes; None where it is none, is reached through a link, or enough was read."""
        if not self._take("files"):
            return None
        try:
            content = read_regular(self.workspace, str(path.relative_to(self.workspace)), limit=most)
        except (RemitError, OSError):
            return None
        return content if self._take("bytes", len(content)) else None

    def settings(self, path: Path, most: int) -> bytes | None:
        """The same of a file that takes longer to take apart than to read."""
        content = self.read(path, most)
        return content if content is not None and self._take("settings", len(content)) else None

    def names(self, folder: Path) -> list[str] | None:
        """The names in a folder; None where it is none, has more than such a folder has, or enough was read."""
        try:
            descriptor = open_folder(folder)
        except OSError:
            return None
        try:
            with os.scandir(descriptor) as listing:
                names = [entry.name for entry in islice(listing, MOST_NAMES)]
        finally:
            os.close(descriptor)
        return names if self._take("names", len(names)) and len(names) < MOST_NAMES else None

    def follows(self) -> bool:
        """Whether one path more may be followed."""
        return self._take("paths")

    def _take(self, kind: str, much: int = 1) -> bool:
        self._left[kind] -= much
        return self._left[kind] >= 0
