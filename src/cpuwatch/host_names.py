"""Host names and origins as URLs and request headers write them. Pure."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from cpuwatch.text import shortened

__all__ = ["host_of", "is_address", "parse_host_name", "parse_origin"]

_MAX_CHARACTERS = 255
_HOST = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>[0-9]{0,5}))?", re.ASCII)
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*", re.ASCII)
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>[^/?#@\s]+)", re.ASCII)
_MAX_PORT = 65_535


def host_of(header: str) -> str | None:
    """The host in a ``Host`` header, without port (RFC 9110, 7.2): a name in lower case, or an address.

    Addresses are in their canonical form, IPv6 without brackets. None if the header is invalid.
    """
    match = _HOST.fullmatch(header)
    if match is None or len(header) > _MAX_CHARACTERS or int(match["port"] or 0) > _MAX_PORT:
        return None
    host = match["host"]
    if host.startswith("["):
        return _address(IPv6Address, host[1:-1])
    # A trailing dot, the root, does not change the meaning of a name (RFC 1034, 3.1).
    name = host.lower().removesuffix(".")
    # Browsers accept 2130706433 and 0x7f.1 as addresses, but send them in dotted form. Here they are not addresses.
    return _address(IPv4Address, host) or (name if _NAME.fullmatch(name) else None)


def is_address(host: str) -> bool:
    """Whether a host from :func:`host_of` is an IP address."""
    return ":" in host or _address(IPv4Address, host) is not None


def parse_host_name(text: str) -> str:
    """A name or an address, without port, as :func:`host_of` returns it. Raises ``ValueError``."""
    has_port = ":" in text.rpartition("]")[2]
    host = None if has_port else host_of(text)
    if host is None:
        raise ValueError(f"invalid host {shortened(text)!r}: must be a host name or an IP address, without port")
    return host


def parse_origin(text: str) -> str:
    """An origin as browsers send it: scheme, host and port (RFC 6454, 6.2). Raises ``ValueError`` with what is allowed.

    ``*`` is not allowed: origins that may read the responses must be named.
    """
    match = _ORIGIN.fullmatch(text.lower())
    if match is None or host_of(match["host"]) is None:
        raise ValueError(f"invalid origin {shortened(text)!r}: must be scheme and host, such as https://example.org")
    default_port = {"http": ":80", "https": ":443"}[match["scheme"]]
    return f"{match['scheme']}://{match['host'].removesuffix(default_port)}"


def _address(kind: type[IPv4Address | IPv6Address], text: str) -> str | None:
    try:
        return str(kind(text))
    except AddressValueError:
        return None
