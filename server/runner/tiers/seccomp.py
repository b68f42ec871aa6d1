"""The system call filter: the calls that a sandboxed program may not make, as a classic BPF program.

All other calls are allowed: a list of allowed calls would break with each new libc. The listed calls are either ways
out (namespaces, mounts, other processes), or parts of the kernel that sandboxed programs do not need.
"""

import os
import platform
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from errno import EAFNOSUPPORT, ENOSYS, EOPNOTSUPP, EPERM, EPROTONOSUPPORT
from socket import AF_INET, AF_INET6, AF_UNIX, IPPROTO_TCP, MSG_FASTOPEN, SOCK_STREAM
from stat import S_ISGID, S_ISUID

# linux/bpf_common.h and linux/seccomp.h
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW{CGROUP,UTS,IPC,USER,PID,NET} and CLONE_NEWNS, linux/sched.h
_NEW_TIME_NAMESPACE = 0x80  # for unshare alone: in clone these bits are the exit signal
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # they put input into a terminal


@dataclass(frozen=True, slots=True)
class Architecture:
    """A machine architecture and its numbering of system calls."""

    audit: int
    """AUDIT_ARCH_*, linux/audit.h"""

    column: int
    """Its index in the tuples of _NUMBERS."""

    foreign_bit: int | None = None
    """The bit that marks calls of a second ABI, x32, which the list would not match."""


_ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, 0, 0x40000000),
    "aarch64": Architecture(0xC00000B7, 1),
}

# asm/unistd_64.h and asm-generic/unistd.h
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chmod": (90, None),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "creat": (85, None),
    "delete_module": (176, 106),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "listen": (50, 201),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "open": (2, None),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "openat": (257, 56),
    "openat2": (437, 437),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "prlimit64": (302, 261),
    "fanotify_init": (300, 262),
    "fcntl": (72, 25),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setscheduler": (144, 119),
    "socketpair": (53, 199),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "request_key": (249, 218),
    "semctl": (66, 191),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "sendmmsg": (307, 269),
    "sendmsg": (46, 211),
    "sendto": (44, 206),
    "setns": (308, 268),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmget": (29, 194),
    "socket": (41, 198),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}

_FORBIDDEN = """
    add_key bpf chroot delete_module finit_module fsconfig fsmount fsopen fspick init_module io_uring_enter
    io_uring_register io_uring_setup kcmp kexec_file_load kexec_load keyctl mount mount_setattr move_mount
    open_by_handle_at open_tree open_tree_attr perf_event_open personality pidfd_getfd pivot_root process_madvise
    process_vm_readv process_vm_writev ptrace request_key setns shmget umount2 userfaultfd
""".split()  # shmget: a segment that no process has attached is in no process's memory limit

# A filter cannot read the structs of clone3 and openat2, and the memory of a memfd is in no process's limit.
# ENOSYS makes programs fall back, as on an old kernel.
_ABSENT = ("clone3", "memfd_create", "memfd_secret", "openat2")

# The index of the argument with a file's mode; `open` and `openat` use it only with a creating flag, one index before.
_MODES = {"chmod": 1, "creat": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "mknod": 1, "mknodat": 2}
_CREATING_MODES = {"open": 2, "openat": 3}
_SET_ID = S_ISUID | S_ISGID

# System V and POSIX IPC of the same user, which a namespace hides and Landlock does not.
_SHARED_IPC = """
    mq_open mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl
""".split()

EVERY_FAMILY = (AF_UNIX, AF_INET, AF_INET6)
"""Socket families that a network namespace confines. Netlink and vsock are never allowed, as nothing confines them."""

_F_SETLEASE, _F_NOTIFY = 1024, 1026  # linux/fcntl.h

_KIND = 0xF  # SOCK_TYPE_MASK of linux/net.h: the other bits of a socket's type are flags
_SENDING_FLAGS = {"sendto": 3, "sendmsg": 2, "sendmmsg": 3}  # index of the argument with the flags

Rules = Sequence[tuple[str, list[bytes]]]
"""For each named call a block of instructions, which returns on every path."""


def is_supported() -> bool:
    """Return whether this machine's system call numbers are known."""
    return platform.machine() in _ARCHITECTURES


def families(*numbers: int) -> Rules:
    """Return rules that allow these socket families and no others."""
    return [("socket", [_load_argument(0), *_each(numbers, _return(_ALLOW)), _error(EAFNOSUPPORT)])]


def tcp_clients() -> Rules:
    """Return rules that allow only what Landlock's port rules cover: TCP over IPv4, connected by `connect`.

    Landlock's rules miss MPTCP, connections made by sending with MSG_FASTOPEN, and listening without a bound port.
    """
    allowed = _return(_ALLOW)
    family = [_load_argument(0), _jump(_EQUAL, AF_INET, then=1), _error(EAFNOSUPPORT)]
    kind = [_load_argument(1), _instruction(_AND, _KIND), _jump(_EQUAL, SOCK_STREAM, then=1), _error(EPROTONOSUPPORT)]
    protocol = [_load_argument(2), *_each((0, IPPROTO_TCP), allowed), _error(EPROTONOSUPPORT)]
    connects = [_jump(_ANY_BIT, MSG_FASTOPEN, otherwise=1), _error(EOPNOTSUPP), allowed]
    return [
        ("socket", [*family, *kind, *protocol]),
        ("listen", [_error(EPERM)]),
        *((name, [_load_argument(index), *connects]) for name, index in _SENDING_FLAGS.items()),
    ]


def program(sockets: Rules, *, shares_host: bool, machine: str | None = None) -> bytes:
    """Assemble the filter, an array of struct sock_filter, for `machine` (default: this machine).

    `sockets` are the rules for socket calls. `shares_host` adds rules for tiers in which no namespace hides the user's
    other processes and their IPC. Raises KeyError for an unknown machine.
    """
    architecture = _ARCHITECTURES[machine or platform.machine()]
    code = _machine(architecture)
    for name, block in (*sockets, *_rules(shares_host)):
        if (number := _NUMBERS[name][architecture.column]) is not None:
            code += [_jump(_EQUAL, number, otherwise=len(block)), *block]
    return b"".join([*code, _return(_ALLOW)])


def _machine(architecture: Architecture) -> list[bytes]:
    """Kill a process that uses the call numbers of another architecture or ABI, which the list would misread."""
    killed = _return(_KILL_PROCESS)
    code = [_load(_MACHINE), _jump(_EQUAL, architecture.audit, then=1), killed, _load(_NUMBER)]
    if architecture.foreign_bit is not None:
        code += [_jump(_AT_LEAST, architecture.foreign_bit, otherwise=1), killed]
    return code


def _rules(shares_host: bool) -> Iterator[tuple[str, list[bytes]]]:
    forbidden, allowed = _error(EPERM), _return(_ALLOW)
    for name in (*_FORBIDDEN, *(_SHARED_IPC if shares_host else ())):
        yield name, [forbidden]
    for name in _ABSENT:
        yield name, [_error(ENOSYS)]
    yield "clone", [_load_argument(0), _jump(_ANY_BIT, _NEW_NAMESPACES, otherwise=1), forbidden, allowed]
    new = _NEW_NAMESPACES | _NEW_TIME_NAMESPACE
    yield "unshare", [_load_argument(0), _jump(_ANY_BIT, new, otherwise=1), forbidden, allowed]
    yield "ioctl", [_load_argument(1), *_each((_TIOCSTI, _TIOCLINUX), forbidden), allowed]
    for name, index in _MODES.items():
        yield name, _forbid_set_id(index)
    for name, index in _CREATING_MODES.items():
        creates = _jump(_ANY_BIT, os.O_CREAT | os.O_TMPFILE, then=1)
        yield name, [_load_argument(index - 1), creates, allowed, *_forbid_set_id(index)]
    # A lease makes every process that opens the file wait for its holder, the server and other tasks included.
    yield "fcntl", [_load_argument(1), *_each((_F_SETLEASE, _F_NOTIFY), forbidden), allowed]
    if shares_host:
        yield from _host_rules(forbidden, allowed)


def _host_rules(forbidden: bytes, allowed: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Yield the rules that protect the user's other processes and files, where no namespace hides them."""
    for name in ("prlimit64", "sched_setaffinity", "sched_setattr", "sched_setscheduler"):
        yield name, [_load_argument(0), *_each((0,), allowed), forbidden]
    for name in ("fanotify_init", "inotify_init", "inotify_init1"):  # they reveal names in folders that may not be read
        yield name, [_error(ENOSYS)]
    # A datagram socket of a pair can send to the path of any socket outside.
    kind = [_load_argument(1), _instruction(_AND, _KIND), _jump(_EQUAL, SOCK_STREAM, then=1)]
    yield "socketpair", [*kind, _error(EPROTONOSUPPORT), allowed]


def _forbid_set_id(index: int) -> list[bytes]:
    """Forbid set-user-ID and set-group-ID bits: another user who ran such a file would get this user's rights."""
    return [_load_argument(index), _jump(_ANY_BIT, _SET_ID, otherwise=1), _error(EPERM), _return(_ALLOW)]


def _each(values: tuple[int, ...], outcome: bytes) -> Iterator[bytes]:
    for value in values:
        yield from (_jump(_EQUAL, value, otherwise=1), outcome)


def _load(offset: int) -> bytes:
    return _instruction(_LOAD, offset)


def _load_argument(index: int) -> bytes:
    """Load the low half of an argument (little-endian): the kernel uses no more of those compared here."""
    return _load(_ARGUMENTS + 8 * index)


def _jump(test: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """Skip `then` instructions if the loaded word passes the test, else `otherwise`."""
    return _instruction(test, value, then, otherwise)


def _return(outcome: int) -> bytes:
    return _instruction(_RETURN, outcome)


def _error(number: int) -> bytes:
    return _return(_ERRNO | number)


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("<HBBI", code, then, otherwise, value)
