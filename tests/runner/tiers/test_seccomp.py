"""The filter, executed as the kernel would, for machines that are not at hand as well."""

import errno
import struct
from socket import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_UNIX,
    AF_VSOCK,
    IPPROTO_MPTCP,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    MSG_FASTOPEN,
    MSG_NOSIGNAL,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOCK_RAW,
    SOCK_STREAM,
)

import pytest

from server.runner.tiers.seccomp import EVERY_FAMILY, Rules, families, program, tcp_clients

X86_64, AARCH64 = 0xC000003E, 0xC00000B7
I386, X32 = 0x40000003, 0x40000000
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000

# On x86_64 and on aarch64, from the kernel's headers and not from our table.
READ, CLONE, CLONE3, IOCTL, MOUNT, OPENAT, PRLIMIT64, PTRACE, SEMGET, SOCKET, UNSHARE, *NETWORK = (
    {"x86_64": x86_64, "aarch64": aarch64}
    for x86_64, aarch64 in (
        (0, 63),
        (56, 220),
        (435, 435),
        (16, 29),
        (165, 40),
        (257, 56),
        (302, 261),
        (101, 117),
        (64, 190),
        (41, 198),
        (272, 97),
        (50, 201),
        (44, 206),
        (46, 211),
        (307, 269),
    )
)
LISTEN, SENDTO, SENDMSG, SENDMMSG = NETWORK


EVERY = families(*EVERY_FAMILY)


def outcome(
    machine: str,
    call: int,
    *arguments: int,
    audit: int | None = None,
    shares_host: bool = False,
    sockets: Rules = EVERY,
) -> tuple[int, int]:
    """Return what the filter for `machine` does with a call: the action and its error number."""
    audit = audit or {"x86_64": X86_64, "aarch64": AARCH64}[machine]
    padded = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", call, audit, 0, *padded)
    value = execute(program(sockets, shares_host=shares_host, machine=machine), data)
    return value & 0xFFFF0000, value & 0xFFFF


def execute(code: bytes, data: bytes) -> int:
    """Return a classic BPF machine with the six instructions we use."""
    instructions = list(struct.iter_unpack("<HBBI", code))
    at = accumulator = 0
    while True:
        kind, then, otherwise, value = instructions[at]
        at += 1
        match kind:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x54:
                accumulator &= value
            case 0x06:
                assert isinstance(value, int)
                return value
            case _:
                passed = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}
                at += then if passed[kind] else otherwise


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_an_ordinary_call_is_allowed(machine: str) -> None:
    assert outcome(machine, READ[machine]) == (ALLOW, 0)


@pytest.mark.parametrize("call", [MOUNT, PTRACE])
def test_a_forbidden_call_is_refused(call: dict[str, int], machine: str) -> None:
    assert outcome(machine, call[machine]) == (ERRNO, errno.EPERM)


def test_clone3_seems_absent(machine: str) -> None:
    assert outcome(machine, CLONE3[machine]) == (ERRNO, errno.ENOSYS)


@pytest.mark.parametrize("call", [CLONE, UNSHARE])
@pytest.mark.parametrize("flag", [1 << bit for bit in (17, 25, 26, 27, 28, 29, 30)])
def test_each_new_namespace_is_refused(flag: int, call: dict[str, int], machine: str) -> None:
    assert outcome(machine, call[machine], flag | 17) == (ERRNO, errno.EPERM)


def test_a_new_time_namespace_is_refused(machine: str) -> None:
    assert outcome(machine, UNSHARE[machine], 0x80) == (ERRNO, errno.EPERM)


def test_threads_and_forks_are_allowed(machine: str) -> None:
    assert outcome(machine, CLONE[machine], 0x003D0F00) == (ALLOW, 0)
    assert outcome(machine, CLONE[machine], 0x01200011) == (ALLOW, 0)


@pytest.mark.parametrize(
    ("family", "expected"), [(AF_UNIX, ALLOW), (AF_INET, ALLOW), (AF_NETLINK, ERRNO), (AF_VSOCK, ERRNO)]
)
def test_only_bounded_socket_families_are_open(family: int, expected: int, machine: str) -> None:
    assert outcome(machine, SOCKET[machine], family)[0] == expected


@pytest.mark.parametrize("request_number", [0x5412, 0x541C])
def test_nobodys_terminal_is_typed_into(request_number: int, machine: str) -> None:
    assert outcome(machine, IOCTL[machine], 0, request_number) == (ERRNO, errno.EPERM)


def test_other_terminal_requests_are_allowed(machine: str) -> None:
    assert outcome(machine, IOCTL[machine], 0, 0x5401) == (ALLOW, 0)


def test_a_mode_counts_only_where_a_file_is_created(machine: str) -> None:
    assert outcome(machine, OPENAT[machine], 0, 0, 0o100, 0o4755) == (ERRNO, errno.EPERM)
    assert outcome(machine, OPENAT[machine], 0, 0, 0, 0o4755) == (ALLOW, 0)


@pytest.mark.parametrize(
    ("family", "kind", "protocol", "expected"),
    [
        (AF_INET, SOCK_STREAM, 0, (ALLOW, 0)),
        (AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP, (ALLOW, 0)),
        (AF_INET, SOCK_STREAM, IPPROTO_MPTCP, (ERRNO, errno.EPROTONOSUPPORT)),
        (AF_INET, SOCK_STREAM, IPPROTO_SCTP, (ERRNO, errno.EPROTONOSUPPORT)),
        (AF_INET, SOCK_DGRAM, 0, (ERRNO, errno.EPROTONOSUPPORT)),
        (AF_INET, SOCK_RAW, IPPROTO_TCP, (ERRNO, errno.EPROTONOSUPPORT)),
        (AF_INET6, SOCK_STREAM, 0, (ERRNO, errno.EAFNOSUPPORT)),
        (AF_UNIX, SOCK_STREAM, 0, (ERRNO, errno.EAFNOSUPPORT)),
    ],
)
def test_a_client_over_tcp_gets_no_other_socket(
    family: int, kind: int, protocol: int, expected: tuple[int, int], machine: str
) -> None:
    assert outcome(machine, SOCKET[machine], family, kind, protocol, sockets=tcp_clients()) == expected


@pytest.mark.parametrize(("call", "flags"), [(SENDTO, (0, 0, 0)), (SENDMSG, (0, 0)), (SENDMMSG, (0, 0, 0))])
def test_a_client_over_tcp_sends_only_where_it_has_connected(
    call: dict[str, int], flags: tuple[int, ...], machine: str
) -> None:
    assert outcome(machine, call[machine], *flags, MSG_NOSIGNAL, sockets=tcp_clients()) == (ALLOW, 0)
    fast = outcome(machine, call[machine], *flags, MSG_NOSIGNAL | MSG_FASTOPEN, sockets=tcp_clients())
    assert fast == (ERRNO, errno.EOPNOTSUPP)


def test_a_client_over_tcp_does_not_listen(machine: str) -> None:
    assert outcome(machine, LISTEN[machine], sockets=tcp_clients()) == (ERRNO, errno.EPERM)


def test_foreign_processes_and_queues_are_closed_only_where_they_are_in_sight(machine: str) -> None:
    for call, argument in ((SEMGET, 0), (PRLIMIT64, 4711)):
        assert outcome(machine, call[machine], argument) == (ALLOW, 0)
        assert outcome(machine, call[machine], argument, shares_host=True) == (ERRNO, errno.EPERM)


def test_its_own_limits_may_be_changed_everywhere(machine: str) -> None:
    assert outcome(machine, PRLIMIT64[machine], 0, shares_host=True) == (ALLOW, 0)


def test_the_calls_of_another_machine_kill(machine: str) -> None:
    assert outcome(machine, READ[machine], audit=I386)[0] == KILL


def test_the_second_numbering_of_x86_64_kills() -> None:
    assert outcome("x86_64", READ["x86_64"] | X32)[0] == KILL
