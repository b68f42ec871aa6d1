"""Installations of programs: the command line that starts one, and the files it must be able to read."""

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from server.errors import Code, RemitError
from server.runner import host_paths

_SHEBANG_BYTES = 256  # BINPRM_BUF_SIZE: what the kernel reads of a script to find its interpreter
_VERSION_BYTES = 64 * 1024  # of a package.json, far more than one has


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A program found on this machine."""

    argv: tuple[str, ...]
    """Its interpreter, if any, the program itself and its arguments, by their real paths."""

    readable: tuple[Path, ...]
    """Files it needs that not every command may read: its package folder, or else itself; and its interpreter, or the
    script that is its first argument."""

    version: str | None
    """The version of its package."""


def find(command: Sequence[str]) -> Installation:
    """Find `command`, the program by name or path.

    Raises RemitError (AGENT_UNAVAILABLE): when it or its interpreter is not installed.
    """
    return located(program(command[0]), command[1:])


def located(path: Path, arguments: Sequence[str]) -> Installation:
    """Return the installation of the program at a path. Raises RemitError (AGENT_UNAVAILABLE)."""
    interpreter = _interpreter(path)
    start = [program(name) for name in interpreter[:1]]
    script, rest = _script(arguments)
    own = (*map(_folder, (path, *script)), *start)
    return Installation(
        argv=(*map(str, start), *interpreter[1:], *map(str, (path, *script)), *rest),
        readable=tuple(dict.fromkeys(each for each in own if not each.is_relative_to(host_paths.PROGRAMS))),
        version=_version((*script, path)[0]),
    )


def program(name: str) -> Path:
    """Return the real path of a program by name or path. Raises RemitError (AGENT_UNAVAILABLE)."""
    found = shutil.which(Path(name).expanduser())
    if found is None:
        raise _unavailable(f"{name} is not installed, or not on the PATH that this server was started with")
    return Path(found).resolve()


def _script(arguments: Sequence[str]) -> tuple[list[Path], Sequence[str]]:
    """Return the real path of the file that the first argument names, if any, and the other arguments."""
    first = [Path(word) for word in arguments[:1] if Path(word).is_absolute() and Path(word).is_file()]
    return [path.resolve() for path in first], arguments[len(first) :]


def _interpreter(program: Path) -> list[str]:
    """Return the interpreter and arguments of a script's first line; empty for another kind of program."""
    try:
        with program.open("rb") as file:
            first = file.read(_SHEBANG_BYTES).split(b"\n")[0]
    except OSError as error:
        raise _unavailable(f"{program} cannot be read: {error.strerror}") from None
    if not first.startswith(b"#!"):
        return []
    words = first[2:].decode(errors="replace").split()
    return [word for word in words[1:] if word != "-S"] if words and Path(words[0]).name == "env" else words


def _folder(program: Path) -> Path:
    """Return the outermost node_modules folder around a program, which contains its dependencies; else the program."""
    around = [parent for parent in program.parents if parent.name == "node_modules"]
    return around[-1] if around else program


def _version(program: Path) -> str | None:
    for parent in program.parents:
        if parent.name == "node_modules":
            return None
        with suppress(OSError, ValueError, AttributeError):
            with (parent / "package.json").open("rb") as file:
                version = json.loads(file.read(_VERSION_BYTES)).get("version")
            if isinstance(version, str):
                return version
    return None


def _unavailable(reason: str) -> RemitError:
    return RemitError(Code.AGENT_UNAVAILABLE, reason)
