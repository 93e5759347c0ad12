"""Parses the addresses on which the server listens. Pure."""

from __future__ import annotations

import re
from ipaddress import ip_address

from msgspec import Struct

from cpuwatch.host_names import host_of, is_address, parse_host_name
from cpuwatch.parse import parse_integer
from cpuwatch.text import shortened

__all__ = [
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "Listening",
    "bind_to",
    "is_local",
    "parse_bind",
    "parse_host",
    "parse_port",
    "parse_root_path",
]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8845
_MAX_PORT = 65_535
_BIND = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]*):(?P<port>[0-9]{1,5})", re.ASCII)
_ROOT_PATH = re.compile(r"(?:/[^/?#\s]+)*/?")


def bind_to(host: str, port: int) -> str:
    """The ``HOST:PORT`` or ``[IPV6]:PORT`` of a host, as :func:`parse_host` returns it, and a port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Listening(Struct, frozen=True, gc=False):
    """Where the server listens, the path prefix under which a proxy serves it, and for TLS the certificate and key."""

    bind: str = bind_to(DEFAULT_HOST, DEFAULT_PORT)
    root_path: str = ""
    certfile: str | None = None
    keyfile: str | None = None


def parse_bind(text: str) -> str:
    """A place to listen: ``HOST:PORT``, ``[IPV6]:PORT``, ``:PORT`` (all addresses), ``unix:PATH`` or ``fd://N``.

    Raises ``ValueError`` with what is allowed.
    """
    match = _BIND.fullmatch(text)
    if match and int(match["port"]) <= _MAX_PORT:
        return text
    if re.fullmatch(r"unix:.+|fd://[0-9]{1,9}", text):
        return text
    raise ValueError(
        f"invalid address {text!r}: must be HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH or fd://N, "
        f"with a port from 0 to {_MAX_PORT}"
    )


def parse_host(text: str) -> str:
    """A host name, or an IP address with or without brackets, without port. Raises ``ValueError``."""
    return parse_host_name(f"[{text}]" if ":" in text and not text.startswith("[") else text)


def parse_port(text: str) -> int:
    """A TCP port; 0 lets the kernel choose. Raises ``ValueError`` with what is allowed."""
    return parse_integer("port", text, 0, _MAX_PORT)


def parse_root_path(text: str) -> str:
    """A path prefix such as ``/cpu``, without a slash at its end. Raises ``ValueError`` with what is allowed."""
    if text and not _ROOT_PATH.fullmatch(text):
        raise ValueError(f"invalid prefix {shortened(text)!r}: must be a path such as /cpu, without ? or #")
    return text.rstrip("/")


def is_local(bind: str) -> bool:
    """Whether only this machine can reach that place. Access to ``fd://N`` and ``unix:PATH`` is up to their creator."""
    if bind.startswith(("unix:", "fd://")):
        return True
    host = host_of(bind)
    return host == "localhost" or (host is not None and is_address(host) and ip_address(host).is_loopback)
