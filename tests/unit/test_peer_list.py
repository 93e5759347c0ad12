from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.errors import SettingsError
from cpuwatch.peers.peer_list import MAX_PEERS, Address, Peer, parse_address, parse_peer_list, parse_peers


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("web-1", "http://web-1:8845"),
        ("web-1:80", "http://web-1:80"),
        ("10.0.0.7", "http://10.0.0.7:8845"),
        ("[::1]", "http://[::1]:8845"),
        ("[2001:DB8::1]:9000", "http://[2001:db8::1]:9000"),
        ("http://web-1", "http://web-1:80"),
        ("https://Web-1.example", "https://web-1.example:443"),
        ("https://web-1/cpu/", "https://web-1:443/cpu"),
    ],
)
def test_an_address_is_a_host_a_port_or_a_url(text: str, url: str) -> None:
    assert str(parse_address(text)) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":8845",
        "web 1",
        "web-1:0",
        "web-1:65536",
        "web-1:x",
        "ftp://web-1",
        "javascript://web-1/%0aalert(1)",
        "http://user:secret@web-1",
        "http://@web-1",
        "http://web-1/?a=1",
        "http://web-1/#a",
        'http://web-1/"><script>',
        "http://[::1",
        "http://[web]",
    ],
)
def test_an_invalid_address_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid address .*: must be HOST, HOST:PORT or a URL"):
        parse_address(text)


def test_a_list_has_a_machine_on_each_line_with_options_and_comments() -> None:
    text = "# the shop\nweb-1\n\n  10.0.0.2:99 name=db token-file=/etc/cpuwatch/db # the database\n"
    assert parse_peer_list(text, "list") == [
        Peer(Address(False, "web-1", 8845)),
        Peer(Address(False, "10.0.0.2", 99), "db", Path("/etc/cpuwatch/db")),
    ]


def test_a_list_of_prometheus_is_read_as_it_is() -> None:
    text = """[
      {"targets": ["web-1:8845", "web-2"], "labels": {"env": "prod", "__scheme__": "https"}},
      {"targets": ["db"], "labels": {"name": "Database", "token_file": "/etc/db"}},
      {"targets": ["[::1]:8845"]}
    ]"""
    assert [(str(peer.address), peer.name, peer.token_file) for peer in parse_peer_list(text, "list")] == [
        ("https://web-1:8845", None, None),
        ("https://web-2:8845", None, None),
        ("http://db:8845", "Database", Path("/etc/db")),
        ("http://[::1]:8845", None, None),
    ]


def test_a_list_may_begin_with_an_ipv6_address() -> None:
    assert [str(peer.address) for peer in parse_peer_list("[::1]:8845\n", "list")] == ["http://[::1]:8845"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("web-1\nweb 2\n", "list, line 2: invalid option '2': must be name=... or token-file=..."),
        ("web-1\n\nweb_2:x\n", "list, line 3: invalid address 'http://web_2:x': must be"),
        ("web-1 nam=x", "list, line 1: invalid option 'nam': did you mean name"),
        ("web-1 name=", "list, line 1: invalid option 'name='"),
        ("web-1 name=" + 101 * "x", "line 1: invalid name .*at most 100 characters"),
        ("web-1\nweb-1:8845\n", "list, line 2: http://web-1:8845 is listed twice, first in list, line 1"),
        ("\n".join(f"web-{number}" for number in range(MAX_PEERS + 1)), "line 501: more than 500 machines"),
        ('[{"targets": "web-1"}]', r"list: invalid JSON of targets: .*\$\[0\].targets"),
        ('[{"targets": ["web-1", "a b"]}]', r"list, \[0\].targets\[1\]: invalid address"),
        ('[{"targets": ["a"', "list: invalid JSON of targets"),
    ],
)
def test_an_error_in_a_list_names_its_place(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_peer_list(text, "list")


@given(st.text() | st.text('[]{}":,/. \n#ab1=', min_size=1).map("[{".__add__))
def test_any_text_is_a_list_or_a_settings_error(text: str) -> None:
    with suppress(SettingsError):
        for peer in parse_peer_list(text, "list"):
            assert parse_address(str(peer.address)) == peer.address
            msgspec.json.encode(str(peer.address))


def test_a_list_is_a_file_or_a_url() -> None:
    assert parse_peers("/etc/cpuwatch/peers") == Path("/etc/cpuwatch/peers")
    assert parse_peers("https://sd.example/targets") == Address(True, "sd.example", 443, "/targets")
    with pytest.raises(ValueError, match=r"invalid address 'ftp://sd\.example'"):
        parse_peers("ftp://sd.example")
