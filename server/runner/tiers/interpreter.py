"""The Python interpreter that runs the launcher inside the sandbox."""

import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL

import anyio

from server.runner.host_paths import PROGRAMS

_SUFFICES = "import ctypes, resource, sys; sys.exit(sys.version_info < (3, 11))"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python executable, and the folders outside the system's that it needs."""

    executable: Path
    folders: tuple[Path, ...] = ()

    def command(self, script: Path | str) -> tuple[str, ...]:
        """Return the command line for `script`, a file or `-c`; without site-packages, which are slow to load."""
        return (str(self.executable), "-I", "-S", str(script))


async def find_interpreter() -> Interpreter:
    """Return the system's Python if it is 3.11 or newer, as every sandbox mounts it anyway; else the server's own."""
    system = Interpreter(PROGRAMS / "bin/python3")
    return system if await _suffices(system) else _own()


async def _suffices(interpreter: Interpreter) -> bool:
    try:
        tried = await anyio.run_process((*interpreter.command("-c"), _SUFFICES), check=False, stderr=DEVNULL)
    except FileNotFoundError:
        return False
    return tried.returncode == 0


def _own() -> Interpreter:
    executable, installed = Path(sys.executable).resolve(), Path(sys.base_prefix).resolve()
    return Interpreter(executable, () if installed.is_relative_to(PROGRAMS) else (installed,))
