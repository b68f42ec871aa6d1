"""The hosts that a rule admits, and the addresses that are public."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import Code, RemitError
from server.runner.network.addresses import is_own, is_public
from server.runner.network.hosts import Endpoint, HostRule, rule_for


@pytest.mark.parametrize(
    ("rule", "host"),
    [
        ("api.example.com", "api.example.com:443"),
        ("api.example.com", "api.example.com:80"),
        ("api.example.com:8443", "api.example.com:8443"),
        ("API.Example.COM.", "api.example.com:443"),
        ("api.example.com", "API.EXAMPLE.COM.:443"),
        ("*.example.com", "a.example.com:443"),
        ("*.example.com", "a.b.example.com:443"),
        ("*.example.com:8443", "a.example.com:8443"),
        ("my_bucket.example.com", "my_bucket.example.com:443"),
        ("xn--bcher-kva.example", "XN--bcher-kva.example:443"),
        ("localhost:8080", "localhost:8080"),
        ("127.0.0.1", "127.0.0.1:80"),
        ("127.0.0.1:8080", "[::ffff:127.0.0.1]:8080"),
        ("[::1]:80", "[0:0:0:0:0:0:0:1]:80"),
        ("[2001:DB8::1]", "[2001:db8:0::1]:443"),
    ],
)
def test_a_rule_admits_its_host_however_it_is_written(rule: str, host: str) -> None:
    assert HostRule.parse(rule).admits(Endpoint.parse(host))


@pytest.mark.parametrize(
    ("rule", "host"),
    [
        ("api.example.com", "api.example.com:8443"),
        ("api.example.com:8443", "api.example.com:443"),
        ("api.example.com", "example.com:443"),
        ("api.example.com", "api.example.com.evil.com:443"),
        ("api.example.com", "a.api.example.com:443"),
        ("*.example.com", "example.com:443"),
        ("*.example.com", "evilexample.com:443"),
        ("*.example.com", "example.com.evil.com:443"),
        ("localhost", "127.0.0.1:80"),
        ("127.0.0.1", "localhost:80"),
        ("127.0.0.1", "127.0.0.2:80"),
        ("[::1]", "127.0.0.1:80"),
    ],
)
def test_a_rule_admits_nothing_but_its_host(rule: str, host: str) -> None:
    assert not HostRule.parse(rule).admits(Endpoint.parse(host))


NO_HOSTS = [
    "",
    ".",
    "..",
    ".example.com",
    "example..com",
    "example.com..",
    "-example.com",
    "example-.com",
    "exa mple.com",
    "exa%6dple.com",
    "user@example.com",
    "user:password@example.com",
    "example.com\\.evil.com",
    "example.com/",
    "example.com?",
    "example.com#",
    "example.com\0.evil.com",
    "example.com\r\n",
    "example.com,evil.com",
    "example.com:0",
    "example.com:65536",
    "example.com:",
    "example.com:+80",
    "example.com:\uff18\uff10",
    "b\u00fccher.example",
    "\u212aexample.com",
    "example\u3002com",
    "a" * 64 + ".example.com",
    "a." * 127 + "com",
    "127.1",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "2130706433",
    "1.2.3.4.5",
    "999.0.0.1",
    "example.0x",
    "example.1",
    "::1",
    "[::1",
    "::1]",
    "[::1%25eth0]",
    "[fe80::1%eth0]",
    "[127.0.0.1]",
    "[]",
    "[::1]x",
    "[v1.x]",
]


@pytest.mark.parametrize("text", [*NO_HOSTS, "*", "*.", "a.*.example.com", "*example.com", "**.example.com"])
def test_what_is_no_host_is_no_rule(text: str) -> None:
    with pytest.raises(RemitError) as caught:
        HostRule.parse(text)
    assert (caught.value.code, caught.value.details) == (Code.VALIDATION_ERROR, {"field": "network"})
    assert text in caught.value.message


@pytest.mark.parametrize("text", ["https://example.com", "http://example.com/", "*.127.0.0.1", "*.[::1]"])
def test_a_uri_or_a_wildcard_address_is_no_rule(text: str) -> None:
    with pytest.raises(RemitError):
        HostRule.parse(text)


@pytest.mark.parametrize("text", NO_HOSTS)
def test_what_is_no_host_cannot_be_asked_for(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Endpoint.parse(text, 443)


@given(st.text() | st.from_regex(r"[\[\]a-z0-9.:%@x-]{1,40}"))
def test_what_is_read_as_a_host_has_one_form(text: str) -> None:
    try:
        endpoint = Endpoint.parse(text, 443)
    except ValueError:
        return
    assert Endpoint.parse(str(endpoint)) == endpoint
    assert HostRule.parse(rule_for(endpoint)).admits(endpoint)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808"]
)
def test_an_ordinary_address_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),
        *("168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1"),
        *("192.168.1.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "2001:db8::1", "100::1"),
        *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
        *("64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::", "2001::1", "2001:0:7f00:1::", "3fff::1", "5f00::1"),
    ],
)
def test_any_other_address_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


def test_an_address_of_this_machine_is_its_own() -> None:
    assert is_own(ip_address("127.0.0.1"))
    assert not is_own(ip_address("192.0.2.1"))
