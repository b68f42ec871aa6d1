"""The files that commands are run with: those of the installation, or a server's own copy of them.

A server lives on while its installation is upgraded. What it executes must stay what it was started with.
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
    """Where they are: `root` is the folder that the package `server` lies in."""

    root: Path

    @property
    def launcher(self) -> Path:
        """What becomes a command, once it has confined itself."""
        return self._script("launcher")

    @property
    def relay(self) -> Path:
        """What connects a program with the callback channel of its run."""
        return self._script("relay")

    @property
    def supervisor(self) -> Path:
        """What stands above a command where no process namespace does."""
        return self._script("supervisor")

    @property
    def cgroup_probe(self) -> Path:
        """What tries the limits of a control group."""
        return self._script("cgroup_probe")

    @property
    def skeleton(self) -> Path:
        """The folder of accounts and names as they look from inside."""
        return self.root / _SKELETON

    def _script(self, name: str) -> Path:
        return self.root / _FOLDER / f"{name}.py"


INSTALLED = Programs(Path(__file__).parents[3])
"""Those of the installation."""


def copy_programs(root: Path) -> Programs:
    """Copy those of the installation to the folder `root`, in the place of what an earlier server has left there.

    Blocks. Raises OSError.
    """
    delete_tree(root)
    for name in _FILES:
        target = root / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(INSTALLED.root / name, target)
    shutil.copytree(INSTALLED.skeleton, root / _SKELETON, copy_function=shutil.copyfile)
    return Programs(root)
