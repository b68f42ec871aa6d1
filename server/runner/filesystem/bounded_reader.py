"""A reader of files that a command left in a folder, with limits, as the command may have left any number of them."""

import os
from itertools import islice
from pathlib import Path

from server.errors import RemitError
from server.runner.filesystem.safe_open import open_folder, read_regular

MOST_FILES = 10_000
"""Files read: takes about a second."""

MOST_BYTES = 32 * 1024**2
"""Bytes read of all files together."""

MOST_SETTINGS = 1024**2
"""Bytes of git configuration parsed: the files of 3,000 common repositories; a second for the shortest lines."""

MOST_NAMES = 1000
"""Names in one folder."""

MOST_NAMES_IN_ALL = 100_000
"""Names in all listed folders together."""

MOST_PATHS = 10_000
"""Paths in configurations that are resolved on disk: takes about half a second."""


class BoundedReader:
    """Reader of regular files in a workspace that follows no symlinks and stops at its limits. Every method blocks."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self._left = {"files": MOST_FILES, "bytes": MOST_BYTES, "settings": MOST_SETTINGS}
        self._left |= {"names": MOST_NAMES_IN_ALL, "paths": MOST_PATHS}

    @property
    def is_spent(self) -> bool:
        """Whether something was not read because a limit was reached."""
        return min(self._left.values()) < 0

    def read(self, path: Path, most: int) -> bytes | None:
        """Return a file of at most `most` bytes; None if it is missing, larger, no regular file, behind a symlink, or
        a limit was reached."""
        if not self._take("files"):
            return None
        try:
            content = read_regular(self.workspace, str(path.relative_to(self.workspace)), limit=most)
        except (RemitError, OSError):
            return None
        return content if self._take("bytes", len(content)) else None

    def settings(self, path: Path, most: int) -> bytes | None:
        """Return a git configuration file like `read`, counted against the limit for parsing, too."""
        content = self.read(path, most)
        return content if content is not None and self._take("settings", len(content)) else None

    def names(self, folder: Path) -> list[str] | None:
        """Return the names in a folder; None if it cannot be opened, has too many, or a limit was reached."""
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
        """Count a path to be resolved; return whether the limit allows it."""
        return self._take("paths")

    def _take(self, kind: str, amount: int = 1) -> bool:
        self._left[kind] -= amount
        return self._left[kind] >= 0
