"""The program files that commands are run with: the installed ones, or a server's own copies.

A server keeps running while its installation is upgraded, and must go on with the programs of its own version.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from server.runner.filesystem.removal import delete_tree

_FOLDER = "server/runner/programs"
_SKELETON = f"{_FOLDER}/skeleton"
_FILES = (
    *("server/__init__.py", "server/errors.py", "server/runner/__init__.py"),
    *(f"server/runner/{name}/__init__.py" for name in ("programs", "filesystem")),
    *(f"{_FOLDER}/{name}.py" for name in ("launcher", "relay", "supervisor", "cgroup_probe")),
    *(f"server/runner/{name}.py" for name in ("filesystem/safe_open", "filesystem/removal", "process_tree")),
)


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of the programs; `root` is the folder that contains the package `server`."""

    root: Path

    @property
    def launcher(self) -> Path:
        """The program that confines itself and then executes the command."""
        return self._script("launcher")

    @property
    def relay(self) -> Path:
        """The program that relays its stdio to the callback channel of its run."""
        return self._script("relay")

    @property
    def supervisor(self) -> Path:
        """The program that ends a command's process tree where there is no process namespace."""
        return self._script("supervisor")

    @property
    def cgroup_probe(self) -> Path:
        """The program that tests the limits of a control group."""
        return self._script("cgroup_probe")

    @property
    def skeleton(self) -> Path:
        """The folder with the files of /etc that are mounted in the sandbox: accounts and host names."""
        return self.root / _SKELETON

    def _script(self, name: str) -> Path:
        return self.root / _FOLDER / f"{name}.py"


INSTALLED = Programs(Path(__file__).parents[3])
"""The installed programs."""


def copy_programs(root: Path) -> Programs:
    """Copy the installed programs to the folder `root`, and delete what was in it before. Blocks. Raises OSError."""
    delete_tree(root)
    for name in _FILES:
        target = root / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(INSTALLED.root / name, target)
    shutil.copytree(INSTALLED.skeleton, root / _SKELETON, copy_function=shutil.copyfile)
    return Programs(root)
