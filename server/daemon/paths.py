"""The paths of a server's files, and checksums of an environment's settings.

Standard library only, and without pathlib: the pipe imports this, and it must start at once.
"""

import binascii
import errno
import os
import stat

from server.errors import Code, RemitError

DATABASE = "remit.db"
"""The database's name in the state folder."""


class StatePaths:
    """The state folder of one server, and the files in it; every path is absolute."""

    def __init__(self, state: str, config: str) -> None:
        self.state = state
        self.config = config
        self.socket = os.path.join(state, "remit.sock")
        self.server_lock = os.path.join(state, "server.lock")
        self.start_lock = os.path.join(state, "start.lock")
        self.log = os.path.join(state, "server.log")

    def prepare(self) -> None:
        """Create the state folder if needed.

        Raises:
            RemitError: `FORBIDDEN`, if it is not a folder, belongs to another user, or is accessible to others.
        """
        try:
            os.makedirs(self.state, mode=0o700, exist_ok=True)
            found = os.stat(self.state)
        except OSError as error:
            raise RemitError(
                Code.FORBIDDEN, f"the state folder {self.state} cannot be made: {error.strerror}"
            ) from error
        if found.st_uid != os.geteuid():
            raise RemitError(
                Code.FORBIDDEN,
                f"the state folder {self.state} belongs to another user; set REMIT_HOME to one of your own",
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise RemitError(
                Code.FORBIDDEN,
                f"the state folder {self.state} is open to other users; close it with: chmod 700 '{self.state}'",
            )

    def check_writable(self) -> None:
        """Check that files can be created in the existing state folder, without creating any.

        Raises RemitError (FORBIDDEN) if they cannot.
        """
        if not os.access(self.state, os.W_OK | os.X_OK):
            number = errno.EROFS if os.statvfs(self.state).f_flag & os.ST_RDONLY else errno.EACCES
            raise self.unusable(OSError(number, os.strerror(number)))

    def unusable(self, error: OSError) -> RemitError:
        """Return the error for a file that cannot be made in the state folder, with advice."""
        way = _WAYS.get(error.errno or 0, "set REMIT_HOME to another folder")
        return RemitError(Code.FORBIDDEN, f"the state folder {self.state} cannot be written: {error.strerror}; {way}")


_WAYS = {
    errno.EROFS: "set REMIT_HOME to a folder on a disk that is not mounted read-only",
    errno.EACCES: "make it yours to write (chmod u+rwx), or set REMIT_HOME to another folder",
    errno.ENOSPC: "make room on its disk, or set REMIT_HOME to a folder on another one",
}
"""Advice for a state folder that cannot be written, by errno."""


def find_state_paths() -> StatePaths:
    """Return the paths that the environment names; nothing is created.

    The state folder is `$REMIT_HOME`, else `$XDG_STATE_HOME/remit`, else `~/.local/state/remit`. The settings are in
    `$REMIT_CONFIG`, else `$XDG_CONFIG_HOME/remit/remit.toml`, else `~/.config/remit/remit.toml`.
    """
    state = os.environ.get("REMIT_HOME") or os.path.join(_base("XDG_STATE_HOME", "~/.local/state"), "remit")
    config = os.environ.get("REMIT_CONFIG") or os.path.join(
        _base("XDG_CONFIG_HOME", "~/.config"), "remit", "remit.toml"
    )
    return StatePaths(_absolute(state), _absolute(config))


def settings_digest() -> str:
    """Return eight hex digits over the `REMIT_*` variables that a server takes its settings from.

    A checksum is enough to notice a difference, and does not load OpenSSL into every pipe (4 MB, measured).
    """
    return _checksum(chr(0).join(f"{name}={value}" for name, value in sorted(_variables().items())))


def settings_checksums() -> dict[str, str]:
    """Return eight hex digits for each of these `REMIT_*` variables, by name; the values stay here."""
    return {name: _checksum(value) for name, value in _variables().items()}


def _variables() -> dict[str, str]:
    return {
        name: _absolute(value) if name == "REMIT_CONFIG" else value
        for name, value in os.environ.items()
        if name.startswith("REMIT_") and name not in {"REMIT_HOME", "REMIT_SERVER"}
    }


def _checksum(text: str) -> str:
    return f"{binascii.crc32(os.fsencode(text)):08x}"


def _base(variable: str, default: str) -> str:
    folder = os.environ.get(variable, "")
    return folder if os.path.isabs(folder) else default  # a relative one is to be ignored, the XDG specification says


def _absolute(path: str) -> str:
    try:
        return os.path.abspath(os.path.expanduser(path))
    except FileNotFoundError:
        raise RemitError(
            Code.VALIDATION_ERROR,
            f"'{path}' is a relative path, and the folder that remit was started in is gone; name an absolute one",
        ) from None
