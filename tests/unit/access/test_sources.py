"""The source of a request: its address, its base, and whether it is local."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from sio_server.access.sources import Source, locate


def source_of(peer: str = "127.0.0.1", trusted: Collection[str] = (), **headers: str) -> Source:
    """Return the source of a request; a ``_`` in a header's name stands for ``-``."""
    all_headers = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return locate(peer, "http", all_headers, trusted)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8765", "LocalHost", "127.0.0.1:1", "[::1]", "[::1]:8765"]
)
@pytest.mark.parametrize(
    "origin",
    [
        None,
        "http://localhost",
        "http://localhost:3000",
        "https://127.0.0.1:8443",
        "http://[::1]:5173",
        "http://[::1]",
    ],
)
def test_a_request_with_only_loopback_signs_is_local(
    peer: str, host: str, origin: str | None
) -> None:
    """The signs are the peer, ``Host``, and ``Origin`` if there is one."""
    headers = {"Host": host} if origin is None else {"Host": host, "Origin": origin}
    assert source_of(peer, **headers).is_local


@pytest.mark.parametrize(
    "peer", ["", "192.0.2.7", "10.0.0.1", "0.0.0.0", "::", "::2", "::ffff:192.0.2.7", "localhost"]
)
def test_another_peer_is_not_local(peer: str) -> None:
    """Its headers do not matter. Text that is no address is not local either."""
    assert not source_of(peer, Host="localhost").is_local


@pytest.mark.parametrize(
    "name",
    [
        "Forwarded",
        "forwarded",
        "X-Forwarded-For",
        "x-forwarded-for",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Anything",
        "X-Forwarded",
        "X-Real-IP",
        "x-real-ip",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "CDN-Loop",
        "Via",
    ],
)
@pytest.mark.parametrize("value", ["", "127.0.0.1", "localhost"])
@pytest.mark.parametrize("trusted", [(), ("127.0.0.1",)], ids=["untrusted", "trusted"])
def test_a_forwarded_request_is_not_local(name: str, value: str, trusted: Collection[str]) -> None:
    """A proxy on this machine, trusted or not, forwards requests of other machines."""
    headers = CIMultiDict({"Host": "localhost", name: value})
    assert not locate("127.0.0.1", "http", headers, trusted).is_local


@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.com",
        "example.com:8765",
        "localhost.evil.test",
        "evil.localhost",
        "localhost:8000.evil.test",
        "127.0.0.1.evil.test",
        "127.0.0.1.",
        "[::1",
        "[::2]",
        "::1",
        "localhost@evil.test",
        "0.0.0.0",
    ],
)
def test_another_host_is_not_local(host: str) -> None:
    """An attacker's page may have a name that resolves to loopback (DNS rebinding)."""
    assert not source_of(Host=host).is_local


def test_without_a_host_nothing_is_local() -> None:
    """Every browser sends ``Host``, so no local page is refused by this."""
    assert not source_of().is_local


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://example.com",
        "https://localhost.evil.test",
        "http://localhost:8000.evil.test",
        "http://127.0.0.1.evil.test",
        "http://evil.test/localhost",
        "http://evil.test#localhost",
        "http://localhost@evil.test",
        "http://[::2]:3000",
        "http://[::1",
        "localhost",
        "file://",
    ],
)
def test_another_origin_is_not_local(origin: str) -> None:
    """A page of another site must not publish through a developer's browser."""
    assert not source_of(Host="localhost:8765", Origin=origin).is_local


def test_without_forwarding_the_peer_is_the_client() -> None:
    """The base is the scheme and the host that it requested."""
    source = source_of("192.0.2.7", ("10.0.0.0/8",), Host="example.com:8765")
    assert (source.address, source.base) == ("192.0.2.7", "http://example.com:8765")


@pytest.mark.parametrize("trusted", [(), ("10.0.0.0/8",), ("192.0.2.8",), ("2001:db8::/32",)])
def test_forwarding_headers_of_an_untrusted_peer_are_ignored(
    trusted: Collection[str],
) -> None:
    """They change neither the address nor the scheme nor the host."""
    source = source_of(
        "192.0.2.7",
        trusted,
        Host="example.com",
        X_Forwarded_For="10.0.0.1",
        X_Forwarded_Proto="https",
        X_Forwarded_Host="evil.test",
    )
    assert (source.address, source.base) == ("192.0.2.7", "http://example.com")


@pytest.mark.parametrize(
    ("hops", "address"),
    [
        ("198.51.100.1", "198.51.100.1"),
        (" 198.51.100.1 ", "198.51.100.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("198.51.100.1,10.0.0.3,10.0.0.2", "198.51.100.1"),
        ("203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("127.0.0.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.9, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("<script>, 198.51.100.1", "198.51.100.1"),
        ("unknown, 10.0.0.2", "10.0.0.2"),
        ("198.51.100.1, unknown", "10.0.0.1"),
        ("198.51.100.1, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("198.51.100.1:4711", "198.51.100.1"),
        ("198.51.100.1:4711, 10.0.0.2:80", "198.51.100.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ('"[2001:DB8:0::1]:4711"', "2001:db8::1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("198.51.100.1, ::ffff:10.0.0.2", "198.51.100.1"),
        ("198.51.100.1:evil", "10.0.0.1"),
        ("[198.51.100.1", "10.0.0.1"),
        ("", "10.0.0.1"),
        (",", "10.0.0.1"),
    ],
)
def test_the_client_is_the_nearest_hop_that_is_no_trusted_proxy(hops: str, address: str) -> None:
    """The client may have forged every hop further left."""
    source = source_of("10.0.0.1", ("10.0.0.0/8",), Host="h", X_Forwarded_For=hops)
    assert source.address == address


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        (["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
        (["203.0.113.9, 203.0.113.8", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        (["198.51.100.1", "10.0.0.2"], "198.51.100.1"),
    ],
)
def test_several_lines_of_a_forwarding_header_are_one_list(lines: list[str], address: str) -> None:
    """A proxy may add its own line after a line that the client forged."""
    headers = CIMultiDict([("Host", "h"), *(("X-Forwarded-For", line) for line in lines)])
    assert locate("10.0.0.1", "http", headers, ("10.0.0.0/8",)).address == address


@pytest.mark.parametrize("trusted", ["10.0.0.1", "10.0.0.1/32", "10.0.0.0/8", "10.1.2.3/8"])
def test_a_trusted_proxy_names_the_scheme_and_the_host(trusted: str) -> None:
    """They make the base. Without its headers, the base is that of the request itself."""
    source = source_of(
        "10.0.0.1",
        (trusted,),
        Host="internal:8765",
        X_Forwarded_Proto="https",
        X_Forwarded_Host="example.com",
    )
    assert (source.address, source.base) == ("10.0.0.1", "https://example.com")
    assert source_of("10.0.0.1", (trusted,), Host="a", X_Forwarded_Proto="").base == "http://a"


def test_an_ipv6_proxy_is_trusted_by_its_network() -> None:
    """IPv4 networks in the same setting do not matter."""
    source = source_of("2001:db8::2", ("10.0.0.0/8", "2001:db8::/32"), X_Forwarded_For="192.0.2.1")
    assert source.address == "192.0.2.1"


@given(st.lists(st.sampled_from(["10.0.0.2", "10.0.0.3", "198.51.100.1", "x", "", "::1"])))
def test_forged_hops_do_not_change_the_address(left: list[str]) -> None:
    """The address is the one that the first trusted proxy saw."""
    hops = ", ".join([*left, "203.0.113.5", "10.0.0.2"])
    assert source_of("10.0.0.1", ("10.0.0.0/8",), X_Forwarded_For=hops).address == "203.0.113.5"


def test_only_http_1_1_is_local() -> None:
    """Some proxies speak HTTP/1.0 to the server behind them, and add no header."""
    headers = CIMultiDict({"Host": "localhost"})
    assert locate("127.0.0.1", "http", headers, ()).is_local
    assert not locate("127.0.0.1", "http", headers, (), is_http_1_1=False).is_local


@pytest.mark.parametrize(
    ("peer", "name", "is_misread"),
    [
        ("192.0.2.7", "X-Forwarded-For", True),
        ("192.0.2.7", "Forwarded", True),
        ("192.0.2.7", "Via", False),
        ("10.0.0.1", "X-Forwarded-For", False),
    ],
)
def test_a_client_that_an_untrusted_proxy_names_is_noticed(
    peer: str, name: str, is_misread: bool
) -> None:
    """The operator may have forgotten the setting. A proxy of a client itself adds ``Via``."""
    headers = CIMultiDict({"Host": "h", name: "198.51.100.1"})
    assert locate(peer, "http", headers, ("10.0.0.0/8",)).is_misread is is_misread


@pytest.mark.parametrize(
    ("word", "scheme"),
    [("wss", "https"), ("ws", "http"), ("HTTPS", "https"), ("Https, http", "https"), ("x", "http")],
)
def test_a_scheme_has_several_spellings(word: str, scheme: str) -> None:
    """Some proxies name the scheme of WebSocket on upgrades."""
    source = source_of("10.0.0.1", ("10.0.0.1",), Host="h", X_Forwarded_Proto=word)
    assert source.base == f"{scheme}://h"


@pytest.mark.parametrize(
    ("header", "address", "base"),
    [
        ("for=198.51.100.1", "198.51.100.1", "http://h"),
        ("For=198.51.100.1;Proto=HTTPS;Host=shop.example", "198.51.100.1", "https://shop.example"),
        ('for="[2001:db8::1]:4711";proto=wss', "2001:db8::1", "https://h"),
        ('for="198.51.100.1:_port"', "198.51.100.1", "http://h"),
        ("for=203.0.113.9, for=198.51.100.1, for=10.0.0.2", "198.51.100.1", "http://h"),
        ("for=198.51.100.1;host=a, for=10.0.0.2;host=b;proto=https", "198.51.100.1", "https://a"),
        ('for=198.51.100.1;host="a,b;c"', "198.51.100.1", "http://a,b;c"),
        ("for=203.0.113.9;host=evil, for=198.51.100.1", "198.51.100.1", "http://h"),
        ("for=198.51.100.1, for=unknown", "10.0.0.1", "http://h"),
        ("for=198.51.100.1, for=_hidden, for=10.0.0.2", "10.0.0.2", "http://h"),
        ("by=10.0.0.9", "10.0.0.1", "http://h"),
        ("for=198.51.100.1; x", "10.0.0.1", "http://h"),
        ("", "10.0.0.1", "http://h"),
        ('for="198.51.100.1', "10.0.0.1", "http://h"),
    ],
)
def test_the_standard_header_counts(header: str, address: str, base: str) -> None:
    """RFC 7239, with the same rule for the nearest hop."""
    source = source_of("10.0.0.1", ("10.0.0.0/8",), Host="h", Forwarded=header)
    assert (source.address, source.base) == (address, base)


def test_the_standard_header_does_not_count_beside_the_other_one() -> None:
    """The proxy adds to one of them, and a client may have sent the other."""
    source = source_of(
        "10.0.0.1",
        ("10.0.0.0/8",),
        Host="h",
        Forwarded="for=203.0.113.9;host=evil",
        X_Forwarded_For="198.51.100.1",
    )
    assert (source.address, source.base) == ("198.51.100.1", "http://h")


def test_a_long_open_quote_is_read_once() -> None:
    """A client may have sent the header; reading it again from each quote would take a minute."""
    header = 'for="' + r"\"" * 1_000_000
    assert source_of("10.0.0.1", ("10.0.0.1",), Host="h", Forwarded=header).address == "10.0.0.1"


@given(st.text(alphabet='for=;,"\\[]:.1 \t_', max_size=60))
def test_any_text_of_the_standard_header_is_read(text: str) -> None:
    """Without another error, and in a time that does not explode."""
    source = source_of("10.0.0.1", ("10.0.0.0/8",), Host="h", Forwarded=text)
    assert source.address
