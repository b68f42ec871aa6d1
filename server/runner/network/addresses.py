"""Classification of IP addresses: public, or special-purpose and private.

Sources: the IANA registries of IPv4 and IPv6 special-purpose addresses, RFC 6890 and its successors.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from socket import AF_INET, AF_INET6, SOCK_DGRAM, socket

from server.runner.network.hosts import Address

_NOT_PUBLIC_IPV4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared behind a carrier's NAT
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # the host of an Azure machine, which answers with its settings
        "169.254.0.0/16",  # link-local, where clouds serve a machine's credentials
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)

_UNICAST_IPV6 = IPv6Network("2000::/3")  # all that is assigned; loopback, private and multicast lie outside
_NOT_PUBLIC_IPV6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which leads to an IPv4 address
        "3fff::/20",  # documentation
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address it leads to


def is_public(address: Address) -> bool:
    """Return whether an address is public. IPv4-mapped IPv6 addresses must be unwrapped first (`unmapped`)."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_IPV4)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _UNICAST_IPV6 and not any(address in network for network in _NOT_PUBLIC_IPV6)


def is_own(address: Address) -> bool:
    """Return whether it is an address of this machine: the kernel then chooses it as the source address, too."""
    with socket(AF_INET if address.version == 4 else AF_INET6, SOCK_DGRAM) as unsent:
        try:
            unsent.connect((str(address), 9))  # sends nothing, over UDP
        except OSError:
            return False  # no route to it
        return ip_address(unsent.getsockname()[0]) == address
