"""The list of machines to watch: one a line, or the JSON of Prometheus's file_sd and http_sd. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from cpuwatch.errors import SettingsError
from cpuwatch.host_names import host_of
from cpuwatch.parse import invalid, parse_choice
from cpuwatch.text import shortened

__all__ = ["MAX_PEERS", "Address", "Peer", "parse_address", "parse_peer_list", "parse_peers"]

MAX_PEERS = 500
"""One page for some machines; beyond that, docs/fleet.md names the engines."""

_DEFAULT_PORT = 8845
_MAX_NAME_CHARACTERS = 100
_RULE = "must be HOST, HOST:PORT or a URL such as https://host:8845, without user, query and fragment"
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*", re.ASCII)
_JSON = re.compile(r"\s*\[\s*[{\]]")
"""A list that begins with a bracket can also begin with an IPv6 address."""
_OPTIONS = ("name", "token-file")


class Address(Struct, frozen=True):
    """Where a service is: ``path`` is the prefix of a reverse proxy, or empty."""

    is_secure: bool
    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        return f"{'https' if self.is_secure else 'http'}://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """Host and port, as the ``Host`` header has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Peer(Struct, frozen=True):
    """A machine to watch. ``name`` is None unless the list gives one; ``token_file`` is for this machine only."""

    address: Address
    name: str | None = None
    token_file: Path | None = None


class _TargetGroup(Struct, frozen=True):
    targets: list[str]
    labels: dict[str, str] = {}


def parse_peers(text: str) -> Path | Address:
    """Where the list is: a file, or a URL. Raises ``ValueError`` with what is allowed."""
    return _parse_url(text) if "://" in text else Path(text)


def parse_address(text: str) -> Address:
    """The address of a service, by default port 8845 without TLS. Raises ``ValueError`` with what is allowed."""
    if "://" in text:
        return _parse_url(text)
    address = _parse_url(f"http://{text}")
    has_port = ":" in text.rpartition("]")[2]
    return address if has_port else msgspec.structs.replace(address, port=_DEFAULT_PORT)


def parse_peer_list(text: str, origin: str) -> list[Peer]:
    """The machines of a list, in its order. ``origin`` names it in messages.

    A line is an address and options: ``10.0.0.1:8845 name=web-1 token-file=/etc/cpuwatch/web-1``; ``#`` begins a
    comment. JSON is that of file_sd: the labels ``name``, ``token_file`` and ``__scheme__`` are used. Raises
    :class:`~cpuwatch.errors.SettingsError` with the place of the first error.
    """
    entries = _json_entries(text, origin) if _JSON.match(text) else _line_entries(text, origin)
    peers: list[Peer] = []
    places: dict[Address, str] = {}
    for place, fields, options in entries:
        try:
            peer = _peer(fields, options)
        except ValueError as error:
            raise SettingsError(f"{place}: {error}") from None
        if peer.address in places:
            raise SettingsError(f"{place}: {peer.address} is listed twice, first in {places[peer.address]}")
        if len(peers) == MAX_PEERS:
            raise SettingsError(f"{place}: more than {MAX_PEERS} machines: see docs/fleet.md for larger fleets")
        places[peer.address] = place
        peers.append(peer)
    return peers


_Entry = tuple[str, str, dict[str, str]]
"""The place for messages, the address, and the options."""


def _line_entries(text: str, origin: str) -> Iterator[_Entry]:
    for number, line in enumerate(text.splitlines(), 1):
        place = f"{origin}, line {number}"
        address, *words = line.partition("#")[0].split() or [""]
        if not address:
            continue
        try:
            options = dict(map(_option, words))
        except ValueError as error:
            raise SettingsError(f"{place}: {error}") from None
        yield place, address, options


def _option(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    if not value:
        raise ValueError(invalid("option", word, f"must be {' or '.join(f'{key}=...' for key in _OPTIONS)}"))
    return parse_choice("option", key, _OPTIONS), value


def _json_entries(text: str, origin: str) -> Iterator[_Entry]:
    try:
        groups = msgspec.json.decode(text, type=list[_TargetGroup])
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise SettingsError(f"{origin}: invalid JSON of targets: {error}") from None
    for group_number, group in enumerate(groups):
        labels = group.labels
        options = {key: value for key in _OPTIONS if (value := labels.get(key.replace("-", "_")))}
        for number, target in enumerate(group.targets):
            place = f"{origin}, [{group_number}].targets[{number}]"
            yield place, target if "://" in target else _with_scheme(target, labels.get("__scheme__")), options


def _with_scheme(target: str, scheme: str | None) -> str:
    if scheme is None:
        return target
    has_port = ":" in target.rpartition("]")[2]
    return f"{scheme}://{target}" if has_port else f"{scheme}://{target}:{_DEFAULT_PORT}"


def _peer(address: str, options: dict[str, str]) -> Peer:
    name, token_file = options.get("name"), options.get("token-file")
    if name is not None and len(name) > _MAX_NAME_CHARACTERS:
        raise ValueError(invalid("name", name, f"must have at most {_MAX_NAME_CHARACTERS} characters"))
    return Peer(parse_address(address), name, None if token_file is None else Path(token_file))


def _parse_url(text: str) -> Address:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"invalid address {shortened(text)!r}: {_RULE}") from None
    host = host_of(f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or "")
    extra: Iterable[str | None] = (parts.username, parts.query or None, parts.fragment or None)
    is_known = parts.scheme in {"http", "https"} and _PATH.fullmatch(parts.path) is not None
    if not host or not is_known or any(part is not None for part in extra) or port == 0:
        raise ValueError(f"invalid address {shortened(text)!r}: {_RULE}")
    is_secure = parts.scheme == "https"
    return Address(is_secure, host, port or (443 if is_secure else 80), parts.path.rstrip("/"))
