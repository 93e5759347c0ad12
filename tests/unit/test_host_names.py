from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.host_names import host_of, is_address, parse_host_name, parse_origin

PORTS = st.just("") | st.integers(0, 65_535).map(":{}".format) | st.just(":")
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)


@given(NAMES, PORTS)
def test_a_name_is_found_with_and_without_port_and_in_any_case(name: str, port: str) -> None:
    assert host_of(name + port) == host_of(name.upper() + port) == host_of(name + "." + port) == name


@given(st.ip_addresses(v=4), PORTS)
def test_every_ipv4_address_is_found(address: IPv4Address, port: str) -> None:
    host = host_of(f"{address}{port}")
    assert host == str(address)
    assert is_address(host)


@given(st.ip_addresses(v=6), PORTS)
def test_every_ipv6_address_is_found_in_any_spelling(address: IPv6Address, port: str) -> None:
    spellings = {f"[{address}]{port}", f"[{address.exploded}]{port}", f"[{address.exploded.upper()}]{port}"}
    (host,) = {host_of(spelling) for spelling in spellings}
    assert host is not None
    assert ip_address(host) == address
    assert is_address(host)


@given(NAMES.filter(lambda name: not name.replace(".", "").isdigit()))
def test_no_name_is_an_address(name: str) -> None:
    assert not is_address(name)


@pytest.mark.parametrize(
    "header",
    [
        *(
            "",
            ":80",
            "a b",
            "a/b",
            "a@b",
            "a,b",
            "a..b",
            ".a",
            "a:b",
            "a:80:80",
            "a:99999",
            "a:-1",
            "::1",
            "[::1",
            "::1]",
        ),
        *(
            "::1]",
            "[::1]x",
            "[]",
            "[1.2.3.4]",
            "[localhost]",
            "localhost\n",
            "localhost\x00",
            "ä.example",
            "a:٣",
            "a" * 256,
        ),
    ],
)
def test_an_invalid_host_is_none(header: str) -> None:
    assert host_of(header) is None


@pytest.mark.parametrize("text", ["2130706433", "0x7f.0.0.1", "127.1", "0177.0.0.1", "1.2.3.4.5", "127.0.0.1.evil"])
def test_an_address_that_only_some_programs_accept_is_none(text: str) -> None:
    host = host_of(text)
    assert host is None or not is_address(host)


@given(st.text(st.characters(max_codepoint=255), max_size=40))
def test_any_bytes_are_a_host_or_none_and_a_host_is_found_again(header: str) -> None:
    host = host_of(header)
    if host is not None:
        assert host_of(f"[{host}]" if ":" in host else host) == host
        # An independent parser sees the same host, in its own spelling.
        other = urlsplit(f"http://{header}/").hostname
        assert other is not None
        assert host == (str(ip_address(other)) if is_address(host) else other.removesuffix("."))


@given(NAMES)
def test_a_configured_name_must_not_have_a_port(name: str) -> None:
    assert parse_host_name(name.upper()) == name
    with pytest.raises(ValueError, match="without port"):
        parse_host_name(f"{name}:80")


@pytest.mark.parametrize("text", ["10.0.0.1", "[::1]"])
def test_a_configured_host_may_be_an_address(text: str) -> None:
    assert is_address(parse_host_name(text))


@given(st.sampled_from(["http", "https"]), NAMES, st.integers(1, 65_535).filter(lambda port: port not in {80, 443}))
def test_an_origin_is_scheme_host_and_port_in_lower_case(scheme: str, name: str, port: int) -> None:
    assert parse_origin(f"{scheme}://{name.upper()}:{port}") == f"{scheme}://{name}:{port}"
    assert parse_origin(f"{scheme}://{name}:{80 if scheme == 'http' else 443}") == f"{scheme}://{name}"


@pytest.mark.parametrize(
    "text",
    ["*", "null", "example.org", "https://", "https://a/", "https://a/b", "ftp://a", "https://a?b", "https://u@a"],
)
def test_an_invalid_origin_is_refused_with_a_valid_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as https://example\.org"):
        parse_origin(text)
