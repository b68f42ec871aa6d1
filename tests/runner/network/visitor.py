"""Ways to a service on the host's loopback: run inside a sandbox, it tries one, and prints what came of it.

Its arguments are the way and the port, which is the same over TCP and UDP.
"""

import os
import socket
import sys
from base64 import b64encode
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

TIMEOUT_SECONDS = 5


def ask(port: int) -> str:
    """Send a request as programs do, through the proxy that the environment names."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/path", timeout=TIMEOUT_SECONDS) as answer:
            return f"{answer.status} {answer.read().decode()}"
    except HTTPError as error:
        return f"{error.code} {error.read().decode()}"


def tunnel(port: int) -> str:
    proxy = urlsplit(os.environ["HTTPS_PROXY"])
    credentials = b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
    with socket.create_connection((proxy.hostname, proxy.port), TIMEOUT_SECONDS) as connection:
        head = f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {credentials}\r\n\r\n"
        connection.sendall(head.encode())
        answer = connection.recv(1000).decode()
        if answer.startswith("HTTP/1.1 200 "):
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            answer = connection.recv(1000).decode()
        return answer


def connect(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection:
        return exchange(connection)


def connect_over_ipv6(port: int) -> str:
    with socket.create_connection(("::ffff:127.0.0.1", port), TIMEOUT_SECONDS) as connection:
        return exchange(connection)


def connect_over_mptcp(port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP) as connection:
        connection.connect(("127.0.0.1", port))
        return exchange(connection)


def connect_by_sending(port: int) -> str:
    with socket.socket() as connection:
        connection.sendto(b"GET / HTTP/1.1\r\n\r\n", socket.MSG_FASTOPEN, ("127.0.0.1", port))
        connection.settimeout(TIMEOUT_SECONDS)
        return connection.recv(1000).decode()


def connect_by_sending_a_message(port: int) -> str:
    with socket.socket() as connection:
        connection.sendmsg([b"GET / HTTP/1.1\r\n\r\n"], [], socket.MSG_FASTOPEN, ("127.0.0.1", port))
        connection.settimeout(TIMEOUT_SECONDS)
        return connection.recv(1000).decode()


def send_a_datagram(port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(1)
        udp.sendto(b"ok", ("127.0.0.1", port))
        return udp.recv(1000).decode()


def exchange(connection: socket.socket) -> str:
    connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
    return connection.recv(1000).decode()


WAYS_AROUND = [
    connect,
    connect_by_sending,
    connect_by_sending_a_message,
    connect_over_ipv6,
    connect_over_mptcp,
    send_a_datagram,
]

if __name__ == "__main__":
    try:
        print(globals()[sys.argv[1]](int(sys.argv[2])))
    except OSError as error:
        print(f"closed: {error}")
