"""Git's alternates: object folders from which a repository borrows objects, see gitrepository-layout(5)."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from server.errors import Code, RemitError
from server.runner.filesystem.safe_open import read_regular

MOST_ALTERNATES = 20
"""Object folders; git itself follows five levels of them."""

ALTERNATES_BYTES = 1024**2
"""Size of a file that names them: a hundred times what 20 of the longest paths need."""

_NAME = "info/alternates"

_QUOTED = re.compile(rb'"((?:[^"\\]|\\(?:[abfnrtv"\\]|[0-3][0-7]{2}))*+)"')
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_SINGLE = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))


class Unreadable(Exception):
    """Alternates that cannot be read; the text says why."""


def folders_of_objects(objects: Path) -> list[Path]:
    """Return an object folder (without symlinks in its path) and all that it borrows from. Blocks.

    Alternates that are no folders are left out, as git ignores them. Raises Unreadable.
    """
    named = [objects]
    for folder in named:
        for name in _borrowed(folder) if folder.is_dir() else ():
            other = Path(folder, os.fsdecode(name)).resolve()
            named += [other] if other not in named else []
            if len(named) > MOST_ALTERNATES:
                raise Unreadable("the repository borrows objects from too many others")
    return [folder for folder in named if folder.is_dir()]


def _borrowed(objects: Path) -> list[bytes]:
    """Return the paths in the alternates file of an object folder. Raises Unreadable."""
    try:
        return list(_names(read_regular(objects, _NAME, limit=ALTERNATES_BYTES)))
    except RemitError as error:
        if error.code is Code.NOT_FOUND:
            return []
        raise Unreadable(f"the repository's objects cannot be read: {error.message}") from None
    except OSError as error:
        raise Unreadable(f"the repository's objects cannot be read: {error.strerror}") from None


def _names(content: bytes) -> Iterator[bytes]:
    """Yield the paths as git parses them: quoted, or a line that is no comment."""
    content, position = content.partition(b"\0")[0], 0
    while position < len(content):
        quoted = _QUOTED.match(content, position)
        end = quoted.end() if quoted else content.find(b"\n", position) % (len(content) + 1)
        name = _ESCAPE.sub(_meant, quoted[1]) if quoted else content[position:end]
        position = end + 1
        if name and (quoted or not name.startswith(b"#")):
            yield name


def _meant(escape: re.Match[bytes]) -> bytes:
    """Return the byte that an escape stands for."""
    code = escape[1]
    return bytes([int(code, 8) if len(code) == 3 else _SINGLE.get(code[0], code[0])])
