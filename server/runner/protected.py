"""What other tools would execute or obey: files in a repository that a command must not write."""

import stat
from pathlib import Path

# Git runs hooks and what its settings name; shells, direnv, editors and assistants read the rest when a person next
# works in the folder.
_NAMES = (
    ".git/hooks",
    ".git/config",
    ".gitmodules",
    ".envrc",
    ".mcp.json",
    ".vscode",
    ".idea",
    ".claude",
    ".bashrc",
    ".bash_profile",
    ".profile",
    ".zshrc",
    ".zprofile",
)


def protected(workspace: Path) -> tuple[Path, ...]:
    """The paths in a git workspace that are to be read-only; none where it is not a repository.

    A symlink is passed over, with what lies beyond it: mounting its target would let a command choose what it sees.
    """
    if not _is_plain(workspace / ".git"):
        return ()
    return tuple(path for name in _NAMES if _all_plain(workspace, path := workspace / name))


def _all_plain(workspace: Path, path: Path) -> bool:
    between = [parent for parent in path.parents if parent.is_relative_to(workspace) and parent != workspace]
    return all(map(_is_plain, (*between, path)))


def _is_plain(path: Path) -> bool:
    """Whether it is a folder or a regular file, itself and not by a link."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISDIR(mode) or stat.S_ISREG(mode)
