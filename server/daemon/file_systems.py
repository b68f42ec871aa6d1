"""Detection of file systems that cannot hold a database."""

import os
from collections.abc import Iterator

from server.errors import Code, RemitError

REMOTE = frozenset(
    "nfs nfs4 cifs smb3 smbfs 9p afs ceph coda lustre gpfs gfs2 ocfs2 beegfs orangefs davfs vboxsf prl_fs fuse.sshfs "
    "fuse.glusterfs fuse.ceph fuse.rclone fuse.s3fs fuse.gcsfuse fuse.goofys fuse.davfs fuse.vmhgfs-fuse".split()
)
"""File system types, as /proc/self/mountinfo names them, whose files other machines or the host may have open.

Users of a database find what is in SQLite's WAL through shared memory, so that they "must be on the same host computer;
WAL does not work over a network filesystem" (https://www.sqlite.org/wal.html). virtiofs is not included: its files are
in this machine's own page cache like those of a disk, and it is the root of many containers.
"""


def refuse_remote(folder: str) -> None:
    """Refuse a folder on another machine's file system. Raises RemitError (FORBIDDEN)."""
    kind = file_system(folder)
    if kind in REMOTE:
        raise RemitError(
            Code.FORBIDDEN,
            f"the state folder {folder} is on a file system that other machines share ({kind}), where its database can "
            "be damaged; set REMIT_HOME to a folder on a disk of this machine",
        )


def file_system(path: str) -> str | None:
    """Return the type of the file system of a path; None if the kernel does not tell. Raises OSError."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{descriptor}") as about, open("/proc/self/mountinfo") as mounts:
            return dict(_types(mounts)).get(_mount(about))
    except FileNotFoundError:
        return None
    finally:
        os.close(descriptor)


def _mount(about: Iterator[str]) -> str:
    """Return the mount id of a descriptor: proc(5)."""
    return next((line.split()[1] for line in about if line.startswith("mnt_id:")), "")


def _types(mounts: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yield the ids of all mounts with their types: proc(5).

    The type follows a dash after a variable number of fields.
    """
    for line in mounts:
        fields = line.split()
        yield fields[0], fields[fields.index("-", 6) + 1]
