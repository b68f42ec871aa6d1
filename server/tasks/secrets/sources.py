"""Sources of the secrets named in the operator's settings: file, command or keyring."""

import subprocess

import anyio
from anyio import to_thread

from server.config import SecretSource
from server.errors import Code, RemitError
from server.upgrades import check_importable

COMMAND_SECONDS = 10
"""Seconds that a source may take: a tool call must answer well before its host gives up (60 s)."""

MAX_BYTES = 64 * 1024
"""Bytes of a value at most: the limit that the API sets for env and secrets together."""


async def read(name: str, source: SecretSource) -> str:
    """Return the value of the secret called `name` from its source.

    Raises RemitError (EXECUTION_ERROR) that names it and contains nothing read: when it cannot be read.
    """
    try:
        value = await _value(source)
    except (OSError, ValueError, LookupError, ImportError, TimeoutError, subprocess.SubprocessError) as error:
        raise RemitError(
            Code.EXECUTION_ERROR, f"the secret {name} could not be read: {_cause(error)}", secret=name
        ) from None
    if not value or "\0" in value or len(value.encode()) > MAX_BYTES:
        raise RemitError(
            Code.EXECUTION_ERROR, f"the secret {name} is empty, too long or not text; check its setting", secret=name
        )
    return value


async def _value(source: SecretSource) -> str:
    if source.file:
        return (await anyio.Path(source.file.expanduser()).read_text("utf-8")).removesuffix("\n")
    if source.command:
        with anyio.fail_after(COMMAND_SECONDS):
            done = await anyio.run_process(source.command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return done.stdout.decode("utf-8").removesuffix("\n")
    assert source.keyring
    service, _, user = source.keyring.partition("/")
    with anyio.fail_after(COMMAND_SECONDS):  # it may ask the person for its password
        return await to_thread.run_sync(_from_keyring, service, user, abandon_on_cancel=True)
    raise TimeoutError


def _from_keyring(service: str, user: str) -> str:
    check_importable("keyring")
    import keyring  # an optional dependency, and slow to import

    value: str | None = keyring.get_password(service, user)
    if value is None:
        raise LookupError("the keyring has no such entry")
    return value


def _cause(error: BaseException) -> str:
    """Return what went wrong, without anything the source printed."""
    match error:
        case subprocess.CalledProcessError():
            return f"its command exited with status {error.returncode}"
        case TimeoutError():
            return f"its source took longer than {COMMAND_SECONDS} s"
        case UnicodeDecodeError():
            return "it is not UTF-8 text"
        case ImportError():
            return "keyring is not installed; install remit[keyring]"
        case OSError():
            return error.strerror or type(error).__name__
        case LookupError():
            return str(error)
        case _:
            return type(error).__name__
