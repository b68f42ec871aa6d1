"""What of the system every command may read: programs and libraries, and the few settings these need."""

from pathlib import Path

PROGRAMS = Path("/usr")
"""Bound whole; the names in ROOTS lead into it, or stand beside it on older layouts."""

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
"""No accounts, no host names, no private keys, nothing a machine's owner writes passwords into."""

NETWORK_SETTINGS = (Path("/etc/hosts"), Path("/etc/resolv.conf"))
"""Only for commands with a network."""

DEVICES = tuple(Path("/dev", name) for name in ("full", "null", "random", "urandom", "zero"))
"""Devices without a memory: what goes in is gone, what comes out belongs to nobody."""

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
