"""Runs inside the sandbox: it takes its plan from stdin, tightens itself by it, and becomes the command.

Started as `python -I -S launcher.py` and made of the standard library alone; it imports little, since every command
pays for it. It speaks with the server over stdin and stdout and no other descriptor:

    launcher  "ready\\n"          once it runs
    server    the plan            records `kind value`, each closed by a NUL, and `end` as the last
    launcher  "go\\n"             everything after it is the command's own output
         or   "error: why\\n"     and it exits

For each `listen` in the plan, the launcher hands out a socket over stdin before it says go. The server keeps stdin
open; if it ends before the plan is whole, the server is gone, and nothing is started.
"""

import ctypes
import os
import resource
import struct

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_MODE_FILTER = 2
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_RULE_PATH_BENEATH, LANDLOCK_RULE_NET_PORT = 1, 2
LANDLOCK_FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15  # execute, write, read, truncate, ioctl

# Python ignores them, and what it executes would go on doing so: pipelines would not end, and limits not be told.
SIGPIPE, SIGXFSZ = 13, 25

# One command must not make its neighbours wait, and is the first to go when memory runs out.
NICE = 5
OUT_OF_MEMORY_SCORE = b"1000"

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    os.write(1, b"ready\n")
    data = receive()
    try:
        plan = parse(data)
        hand_out_listener(plan)
        take_descriptors(plan)
        for step in (restore_signals, be_modest, limit, confine, filter_calls):
            step(plan)
        os.chdir(plan["folder"][0])
    except Exception as error:  # whatever it is, the server must hear of it
        os._exit(failed(error))
    os.write(1, b"go\n")
    become(plan)


def failed(error: Exception) -> int:
    """Tell the server why; the status to exit with."""
    os.write(1, f"error: {error}\n".encode())
    return 1


def receive() -> bytes:
    """Read the plan from stdin; exit quietly if the server ended before it was whole."""
    data = b""
    while not data.endswith(b"\0end\0"):
        chunk = os.read(0, 65536)
        if not chunk:
            os._exit(1)
        data += chunk
    return data


def parse(data: bytes) -> dict[str, list[bytes]]:
    """The values of each kind of record, in order."""
    plan: dict[str, list[bytes]] = {}
    for record in data.split(b"\0")[:-2]:
        kind, _, value = record.partition(b" ")
        plan.setdefault(kind.decode(), []).append(value)
    return plan


def hand_out_listener(plan: dict[str, list[bytes]]) -> None:
    """Listen where the command will look for the server; whoever has a socket serves the network it was made in."""
    for record in plan.get("listen", ()):
        import _socket  # half of the module socket, whose other half takes 5 ms to import

        port, backlog = map(int, record.split())
        listener, server = _socket.socket(), _socket.socket(fileno=0)
        listener.bind(("127.0.0.1", port))
        listener.listen(backlog)
        descriptor = struct.pack("@i", listener.fileno())
        server.sendmsg([b"\0"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptor)])
        server.detach()
        listener.close()


def take_descriptors(plan: dict[str, list[bytes]]) -> None:
    """Give the command nothing to read but what the plan names, by the number it has and the one it is to have."""
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    first = 3
    for given, place in sorted(map(places, plan.get("descriptor", ())), key=lambda pair: pair[1]):
        os.dup2(given, place)
        os.closerange(first, max(first, place))
        first = max(first, place + 1)
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def places(record: bytes) -> tuple[int, int]:
    """The number that a descriptor has, and the one that it is to have."""
    given, _, place = record.partition(b" ")
    return int(given), int(place)


def be_modest(_: dict[str, list[bytes]]) -> None:
    os.nice(NICE)
    try:
        with open("/proc/self/oom_score_adj", "wb", 0) as score:
            score.write(OUT_OF_MEMORY_SCORE)
    except OSError:
        pass  # beneath a root server, where /proc is read-only


def restore_signals(_: dict[str, list[bytes]]) -> None:
    for number in (SIGPIPE, SIGXFSZ):
        libc.signal(number, None)


def limit(plan: dict[str, list[bytes]]) -> None:
    for record in plan.get("limit", ()):
        name, value = record.decode().split()
        kind = getattr(resource, name)
        _, most = resource.getrlimit(kind)
        wanted = int(value) if most == resource.RLIM_INFINITY else min(int(value), most)
        resource.setrlimit(kind, (wanted, wanted))


def confine(plan: dict[str, list[bytes]]) -> None:
    """Enter a Landlock domain: `ruleset` is the rights it handles, `rule` grants some beneath a path, `port` on one."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    for record in plan.get("ruleset", ()):
        attributes = struct.pack("=QQQ", *map(int, record.split()))
        ruleset = syscall(LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
        for rule in plan.get("rule", ()):
            rights, _, path = rule.partition(b" ")
            grant(ruleset, int(rights), path, path in plan.get("pinned", ()))
        for rule in plan.get("port", ()):
            attributes = struct.pack("=QQ", *map(int, rule.split()))
            syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_NET_PORT, attributes, 0)
        syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)


def grant(ruleset: int, rights: int, path: bytes, pinned: bool) -> None:
    try:
        beneath = os.open(path, os.O_PATH)
    except FileNotFoundError:
        return  # nothing there, nothing to allow
    if pinned and os.readlink(b"/proc/self/fd/%d" % beneath) != path:
        raise OSError(f"the folder {os.fsdecode(path)} leads elsewhere by now")
    if not os.path.isdir(path):
        rights &= LANDLOCK_FILE_RIGHTS
    syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PATH_BENEATH, struct.pack("=Qi", rights, beneath), 0)
    os.close(beneath)


def filter_calls(plan: dict[str, list[bytes]]) -> None:
    for record in plan.get("seccomp", ()):
        program = ctypes.create_string_buffer(bytes.fromhex(record.decode()))
        count = len(program) // 8  # of struct sock_filter
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, struct.pack("@HP", count, ctypes.addressof(program)))


def become(plan: dict[str, list[bytes]]) -> None:
    """Execute the command, or end like a shell that could not: 127 if there is no such program, else 126."""
    argv = plan["arg"]
    env = dict(record.split(b"=", 1) for record in plan.get("env", ()))
    try:
        os.execvpe(argv[0], argv, env)  # noqa: S606 - what all this is for
    except OSError as error:
        os.write(1, os.fsencode(f"cannot start {os.fsdecode(argv[0])}: {error.strerror}\n"))
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def prctl(option: int, *arguments: object) -> None:
    check(libc.prctl(option, *arguments, *[0] * (4 - len(arguments))))


def syscall(number: int, *arguments: object) -> int:
    return check(libc.syscall(number, *arguments))


def check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


if __name__ == "__main__":
    main()
