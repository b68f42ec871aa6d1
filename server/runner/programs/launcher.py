"""The program that starts a command inside the sandbox: it reads a plan from stdin, confines itself, and executes it.

Started as `python -I -S launcher.py`. It imports little, and the standard library alone, since its start-up delays
every command. It talks to the server over stdin and stdout and no other descriptor:

    launcher  "ready\\n"          once it runs
    server    the plan            records `kind value`, each ended by a NUL, and `end` as the last
    launcher  "go\\n"             everything after it is the command's own output
         or   "error: why\\n"     and it exits

For each `listen` in the plan, the launcher sends a listening socket over stdin before "go". The server keeps stdin
open; if it closes before the plan is complete, the server has died, and the launcher exits without starting anything.
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

# Python ignores these signals, and an executed program inherits that: pipelines and file size limits would not work.
SIGPIPE, SIGXFSZ = 13, 25

# A command must not slow down other processes, and is the first to be killed when the machine runs out of memory.
NICE = 5
OUT_OF_MEMORY_SCORE = b"1000"

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Read the plan, apply it, and become the command."""
    os.write(1, b"ready\n")
    data = receive()
    try:
        plan = parse(data)
        send_listeners(plan)
        place_descriptors(plan)
        for step in (restore_signals, lower_priority, limit, confine, filter_calls):
            step(plan)
        os.chdir(plan["folder"][0])
    except Exception as error:  # any error must reach the server
        os._exit(failed(error))
    os.write(1, b"go\n")
    execute(plan)


def failed(error: Exception) -> int:
    """Send the error to the server; return the exit status."""
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
    """Return the values of each kind of record, in order."""
    plan: dict[str, list[bytes]] = {}
    for record in data.split(b"\0")[:-2]:
        kind, _, value = record.partition(b" ")
        plan.setdefault(kind.decode(), []).append(value)
    return plan


def send_listeners(plan: dict[str, list[bytes]]) -> None:
    """Listen on each port of `listen` and send the socket to the server, which cannot enter this network namespace."""
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


def place_descriptors(plan: dict[str, list[bytes]]) -> None:
    """Move the plan's descriptors to their numbers in the command; close all others, and read stdin from /dev/null."""
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    first = 3
    for given, place in sorted(map(numbers, plan.get("descriptor", ())), key=lambda pair: pair[1]):
        os.dup2(given, place)
        os.closerange(first, max(first, place))
        first = max(first, place + 1)
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def numbers(record: bytes) -> tuple[int, int]:
    """Return the number that a descriptor has here, and its number in the command."""
    given, _, place = record.partition(b" ")
    return int(given), int(place)


def lower_priority(_: dict[str, list[bytes]]) -> None:
    """Lower the process's priority, and make it the first to be killed when memory runs out."""
    os.nice(NICE)
    try:
        with open("/proc/self/oom_score_adj", "wb", 0) as score:
            score.write(OUT_OF_MEMORY_SCORE)
    except OSError:
        pass  # /proc is read-only if the server runs as root


def restore_signals(_: dict[str, list[bytes]]) -> None:
    """Restore the default action of the signals that Python ignores."""
    for number in (SIGPIPE, SIGXFSZ):
        libc.signal(number, None)


def limit(plan: dict[str, list[bytes]]) -> None:
    """Set the resource limits, none of them above the present hard limit. Raises OSError."""
    for record in plan.get("limit", ()):
        name, value = record.decode().split()
        kind = getattr(resource, name)
        _, most = resource.getrlimit(kind)
        wanted = int(value) if most == resource.RLIM_INFINITY else min(int(value), most)
        resource.setrlimit(kind, (wanted, wanted))


def confine(plan: dict[str, list[bytes]]) -> None:
    """Enter a Landlock domain: `ruleset` has the handled rights, `rule` grants some below a path, `port` on a port."""
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
    """Grant rights beneath a path to a Landlock ruleset; a missing path is skipped. Raises OSError."""
    try:
        beneath = os.open(path, os.O_PATH)
    except FileNotFoundError:
        return
    if pinned and os.readlink(b"/proc/self/fd/%d" % beneath) != path:
        raise OSError(f"the folder {os.fsdecode(path)} leads elsewhere by now")
    if not os.path.isdir(path):
        rights &= LANDLOCK_FILE_RIGHTS
    syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PATH_BENEATH, struct.pack("=Qi", rights, beneath), 0)
    os.close(beneath)


def filter_calls(plan: dict[str, list[bytes]]) -> None:
    """Install the system call filter. Raises OSError."""
    for record in plan.get("seccomp", ()):
        program = ctypes.create_string_buffer(bytes.fromhex(record.decode()))
        count = len(program) // 8  # of struct sock_filter
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, struct.pack("@HP", count, ctypes.addressof(program)))


def execute(plan: dict[str, list[bytes]]) -> None:
    """Execute the command; on failure exit as a shell would: 127 if there is no such program, else 126."""
    argv = plan["arg"]
    env = dict(record.split(b"=", 1) for record in plan.get("env", ()))
    try:
        os.execvpe(argv[0], argv, env)  # noqa: S606 - the sandboxed command itself
    except OSError as error:
        os.write(1, os.fsencode(f"cannot start {os.fsdecode(argv[0])}: {error.strerror}\n"))
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def prctl(option: int, *arguments: object) -> None:
    """Call prctl(2). Raises OSError."""
    check(libc.prctl(option, *arguments, *[0] * (4 - len(arguments))))


def syscall(number: int, *arguments: object) -> int:
    """Make a system call and return its result. Raises OSError."""
    return check(libc.syscall(number, *arguments))


def check(result: int) -> int:
    """Return the result of a C function, or raise OSError if it is negative."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


if __name__ == "__main__":
    main()
