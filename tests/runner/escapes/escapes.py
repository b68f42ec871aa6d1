"""Ways out of a sandbox: run inside one, it tries each, and prints which are open.

Its arguments are the folder and the numbers that the program `outside` tells.
"""

import ctypes
import os
import platform
import resource
import socket
import sys

PTRACE_SEIZE = 0x4206  # unlike attaching, it does not stop the other
CLONE_NEWUSER = 0x10000000
IPC_STAT = 2
ADDR_NO_RANDOMIZE = 0x0040000
PROCESS_KEYRING = -2

# on x86_64, then on aarch64
CALLS = {
    "add_key": (248, 217),
    "io_uring_setup": (425, 425),
    "memfd_create": (319, 279),
    "personality": (135, 92),
    "ptrace": (101, 117),
    "shmctl": (31, 195),
    "unshare": (272, 97),
}

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> None:
    number = CALLS[name][platform.machine() == "aarch64"]
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


class Reach:
    """A thing outside of the sandbox. Each way to it returns if it is open, and raises OSError if it is not."""

    def __init__(self, folder: str, pid: str, tcp: str, udp: str, segment: str) -> None:
        self.folder = folder
        self.pid, self.tcp, self.udp, self.segment = int(pid), int(tcp), int(udp), int(segment)
        self.file = ""

    def attempt(self, way: str) -> None:
        """Try one, with a file of its own."""
        self.file = f"{self.folder}/{way}"
        getattr(self, way)()


class Files(Reach):
    """Ways to what lies outside."""

    def change_a_mode(self) -> None:
        os.chmod(self.file, 0o600)

    def delete_a_file(self) -> None:
        os.unlink(self.file)

    def empty_a_file(self) -> None:
        os.truncate(self.file, 0)

    def empty_a_file_by_reading(self) -> None:
        os.close(os.open(self.file, os.O_RDONLY | os.O_TRUNC))

    def link_a_file(self) -> None:
        os.link(self.file, "linked")

    def list_a_folder(self) -> None:
        os.listdir(self.folder)

    def look_up_a_file(self) -> None:
        os.stat(self.file)

    def make_a_file(self) -> None:
        with open(f"{self.folder}/new", "w"):
            pass

    def make_a_folder(self) -> None:
        os.mkdir(f"{self.folder}/folder")

    def move_a_file(self) -> None:
        os.rename(self.file, f"{self.folder}/moved")

    def read_a_file(self) -> None:
        with open(self.file):
            pass

    def read_through_a_symlink(self) -> None:
        os.symlink(self.file, "symlink")
        with open("symlink"):
            pass

    def write_to_a_file(self) -> None:
        with open(self.file, "a"):
            pass


class Processes(Reach):
    """Ways to other processes, and what is theirs."""

    def attach_to_a_process(self) -> None:
        call("ptrace", PTRACE_SEIZE, self.pid, 0, 0)

    def change_limits_of_a_process(self) -> None:
        resource.prlimit(self.pid, resource.RLIMIT_CORE, (0, 0))

    def read_an_environment(self) -> None:
        with open(f"/proc/{self.pid}/environ") as environment:
            environment.read()

    def read_by_way_of_a_process(self) -> None:
        with open(f"/proc/{self.pid}/root{self.file}"):
            pass

    def see_a_process(self) -> None:
        os.stat(f"/proc/{self.pid}")

    def signal_a_process(self) -> None:
        os.kill(self.pid, 0)

    def use_shared_memory(self) -> None:
        call("shmctl", self.segment, IPC_STAT, ctypes.create_string_buffer(1024))


class Network(Reach):
    """Ways to this machine's services."""

    def connect_over_tcp(self) -> None:
        socket.create_connection(("127.0.0.1", self.tcp), timeout=1).close()

    def connect_over_udp(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(1)
            udp.sendto(b"hello", ("127.0.0.1", self.udp))
            udp.recv(5)

    def connect_to_a_socket(self) -> None:
        with socket.socket(socket.AF_UNIX) as unix:
            unix.connect(f"{self.folder}/socket")

    def connect_to_an_abstract_socket(self) -> None:
        with socket.socket(socket.AF_UNIX) as unix:
            unix.connect(f"\0{self.folder}")

    def speak_netlink(self) -> None:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()

    def speak_vsock(self) -> None:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()


class Kernel(Reach):
    """Ways to more rights, or parts of the kernel that no command needs."""

    def change_personality(self) -> None:
        call("personality", ADDR_NO_RANDOMIZE)

    def hide_memory(self) -> None:
        call("memfd_create", b"hidden", 0)

    def keep_a_key(self) -> None:
        call("add_key", b"user", b"remit-test", b"value", 5, PROCESS_KEYRING)

    def lend_identity(self) -> None:
        with open("program", "w"):
            os.chmod("program", 0o4755)

    def lend_identity_from_the_start(self) -> None:
        os.close(os.open("another", os.O_CREAT | os.O_WRONLY, 0o4755))

    def make_a_user_namespace(self) -> None:
        call("unshare", CLONE_NEWUSER)

    def use_io_uring(self) -> None:
        call("io_uring_setup", 1, ctypes.create_string_buffer(1024))


KINDS: tuple[type[Reach], ...] = (Files, Processes, Network, Kernel)


def ways_of(kind: type[Reach]) -> list[str]:
    """Return the names of its ways."""
    return sorted(name for name in vars(kind) if not name.startswith("_"))


def is_open(reach: Reach, way: str) -> bool:
    """Try it in a process of its own, which may well be killed for it."""
    child = os.fork()
    if child == 0:
        try:
            reach.attempt(way)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    for kind in KINDS:
        for way in ways_of(kind):
            if is_open(kind(*sys.argv[1:]), way):
                print(way)
