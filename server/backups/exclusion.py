"""The lock on task folders that keeps a backup and a restore apart.

A backup that packs folders while a restore moves them would miss some, and nobody would be told. The lock is on the
folder `workspaces` itself: it can be had on a disk that is read-only, and the kernel releases it if the process is
killed. Every function blocks.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.errors import Code, RemitError


@contextmanager
def packing(state: Path) -> Iterator[None]:
    """Keep restores from moving the task folders during the block. Raises RemitError (CONFLICT): one does already."""
    with _locked(state, fcntl.LOCK_SH, f"a restore changes the task folders of {state}"):
        yield


@contextmanager
def moving(state: Path) -> Iterator[None]:
    """Keep backups from packing the task folders during the block. Raises RemitError (CONFLICT): one does already."""
    with _locked(state, fcntl.LOCK_EX, f"a backup with the task folders of {state} is being written"):
        yield


@contextmanager
def _locked(state: Path, kind: int, otherwise: str) -> Iterator[None]:
    try:
        folder = os.open(state / "workspaces", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:  # there is nothing to pack or to move
        yield
        return
    try:
        try:
            fcntl.flock(folder, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RemitError(Code.CONFLICT, f"{otherwise}: wait until it has ended, then try again") from None
        yield
    finally:
        os.close(folder)
