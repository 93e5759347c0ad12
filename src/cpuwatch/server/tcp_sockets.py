"""TCP sockets for ``HOST:PORT``, bound to every address of the host."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

from cpuwatch.errors import ListenError
from cpuwatch.host_names import host_of, is_address

__all__ = ["open_tcp_sockets"]

_ADDRESSES = {
    "": ("0.0.0.0", "::"),  # noqa: S104  cpuwatch.commands.serve requires a token first
    "localhost": ("127.0.0.1", "::1"),
}

_NO_SUCH_ADDRESS = {errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EADDRNOTAVAIL}
"""Errors where IPv6 is not built in, is disabled (``disable_ipv6``), or is not allowed to this process."""


def open_tcp_sockets(bind: str) -> list[socket.socket]:
    """Bound, non-blocking sockets for ``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT``, which do not listen yet.

    Without a host, they are bound to all addresses. ``localhost`` is 127.0.0.1 and ::1, regardless of name servers; any
    other name is all its addresses. Each family has its own socket, so that the log shows IPv4 clients by their IPv4
    address; only ``[::]`` is one socket for both. On a machine without IPv6, only the IPv4 sockets are opened.
    For port 0 the kernel chooses one port, the same for all sockets.

    Raises :class:`~cpuwatch.errors.ListenError`.
    """
    host, _, port = bind.rpartition(":")
    if host_of(bind) == "localhost":
        host = "localhost"
    with ExitStack() as opened:
        try:
            sockets = _open(host.strip("[]"), int(port), opened)
        except UnicodeError:
            raise ListenError(f"cannot listen on {bind}: not a valid host name") from None
        except OSError as error:
            raise ListenError(f"cannot listen on {bind}: {error.strerror}") from error
        opened.pop_all()
        return sockets


def _open(host: str, port: int, opened: ExitStack) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    unavailable: OSError | None = None
    for family, address in _addresses(host):
        try:
            bound = opened.enter_context(_bound(family, address, port, only_ipv6=not host))
        except OSError as error:
            if error.errno not in _NO_SUCH_ADDRESS:
                raise
            unavailable = error
        else:
            sockets.append(bound)
            port = bound.getsockname()[1]
    if unavailable is not None and not sockets:
        raise unavailable
    return sockets


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """The addresses of a host, IPv4 first. Raises ``OSError`` if its name cannot be resolved."""
    if host in _ADDRESSES:
        return [(_family(address), address) for address in _ADDRESSES[host]]
    if is_address(host):
        return [(_family(host), host)]
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return sorted({(family, str(address[0])) for family, _, _, _, address in found})


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _bound(family: socket.AddressFamily, address: str, port: int, *, only_ipv6: bool) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_ipv6)
        opened.bind((address, port))
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened
