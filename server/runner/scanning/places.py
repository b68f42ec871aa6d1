"""Places in a folder of the person's that git enters, or that hide something from a look at it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["closed", "tree", "git", "link", "beyond", "socket", "pipe", "unread", "index"]
"""What a place is:

- closed: a folder that its user may not list or add to
- tree: the working files of a repository
- git: git's own folder
- link: a link `.git`, or one to where nobody looks
- beyond: a folder of which not all was looked at, as there is too much
- socket: a socket of another program
- pipe: a FIFO or a device under a name that git reads: git would wait for it, or read without end
- unread: git's own folder, of which not all was looked at for pipes
- index: an index that git cannot read, or that names what no index does, such as a folder elsewhere
"""


@dataclass(frozen=True, slots=True)
class SensitivePath:
    """Something in a workspace that is to be protected, or looked at."""

    kind: Kind
    path: Path


def paths_as_json(places: Iterable[SensitivePath]) -> list[list[str]]:
    """What is kept of places."""
    return [[place.kind, str(place.path)] for place in places]


def paths_of_json(kept: Iterable[Sequence[Any]]) -> tuple[SensitivePath, ...]:
    """What was kept."""
    return tuple(SensitivePath(kind, Path(path)) for kind, path in kept)
