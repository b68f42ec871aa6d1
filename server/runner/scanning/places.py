"""The kinds of paths in a user's folder that git would enter, or that hide something from a scan."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["closed", "tree", "git", "link", "beyond", "socket", "pipe", "unread", "index"]
"""The kind of a path:

- closed: a folder that its user may not list or write to
- tree: the working tree of a repository
- git: a git folder (a `.git`, or a bare repository)
- link: a symlink `.git`, or one to a folder that is not scanned
- beyond: a folder that was not scanned completely, as a limit was reached
- socket: a socket of another program
- pipe: a FIFO or a device under a name that git reads: reading it would block or never end
- unread: a git folder that was not searched completely for pipes
- index: an index that git cannot read, or that contains forged names, such as a folder elsewhere
"""


@dataclass(frozen=True, slots=True)
class SensitivePath:
    """A path in a workspace to protect or to examine, with its kind."""

    kind: Kind
    path: Path


def paths_as_json(places: Iterable[SensitivePath]) -> list[list[str]]:
    """Return the paths as JSON, for the database."""
    return [[place.kind, str(place.path)] for place in places]


def paths_of_json(kept: Iterable[Sequence[Any]]) -> tuple[SensitivePath, ...]:
    """Return the paths from the JSON of `paths_as_json`."""
    return tuple(SensitivePath(kind, Path(path)) for kind, path in kept)
