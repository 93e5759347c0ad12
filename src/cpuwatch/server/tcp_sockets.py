"""Listening TCP sockets for ``HOST:PORT``, on every address that the host stands for."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

from cpuwatch.errors import ListenError
from cpuwatch.host_names import host_of, is_address

__all__ = ["open_tcp_sockets"]

_ADDRESSES = {
    "": ("0.0.0.0", "::"),  # noqa: S104  cpuwatch.cli asks for a token before it comes to that
    "localhost": ("127.0.0.1", "::1"),
}

_NO_SUCH_ADDRESS = {errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EADDRNOTAVAIL}
"""What the kernel says where IPv6 is not built in, switched off (``disable_ipv6``), or not allowed to this process."""


def open_tcp_sockets(bind: str) -> list[socket.socket]:
    """Bound, non-blocking sockets for ``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT``; listening is left to the server.

    Without a host they are for all addresses. ``localhost`` stands for 127.0.0.1 and ::1, whatever a name server says,
    and any other name for all its addresses. Each family gets a socket, so that a client over IPv4 has an IPv4 address
    in the log; ``[::]`` alone is one socket for both. Where the machine has no IPv6, those of IPv4 remain.
    A port of 0 is chosen by the kernel, the same for all.

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
