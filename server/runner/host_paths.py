"""The system paths that every command may read: programs, libraries, and the few settings that they need."""

from pathlib import Path

PROGRAMS = Path("/usr")
"""Mounted whole. The paths in ROOTS are links into it or, on older systems, folders of their own."""

ROOTS = tuple(map(Path, ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")))

SETTINGS = tuple(
    Path("/etc", name)
    for name in (
        "alternatives",
        "bash.bashrc",
        "ca-certificates",
        "crypto-policies",
        "ld.so.cache",
        "ld.so.conf",
        "ld.so.conf.d",
        "localtime",
        "mime.types",
        "nsswitch.conf",
        "os-release",
        "pki/ca-trust",
        "pki/tls",
        "profile",
        "protocols",
        "services",
        "ssl/certs",
        "ssl/openssl.cnf",
    )
)
"""No accounts, host names or private keys, and no file that may contain passwords."""

NETWORK_SETTINGS = (Path("/etc/hosts"), Path("/etc/resolv.conf"))
"""Readable only for commands with full network access."""

DEVICES = tuple(Path("/dev", name) for name in ("full", "null", "random", "urandom", "zero"))
"""Devices that store nothing, so that no data can pass through them."""

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
