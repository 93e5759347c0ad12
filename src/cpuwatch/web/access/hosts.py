"""The host allow-list: requests must name this machine.

A web page of any site can resolve its own name to the address of this machine, and then read what the machine serves as
if it came from that site (DNS rebinding). Its requests still contain that name, so they cannot contain an address, or a
known name of this machine. A request without ``Host`` does not come from a browser: HTTP/1.1 requires the header, and
the server rejects requests that lack it.

Starlette's ``TrustedHostMiddleware`` parses ``[::1]:8845`` as the host ``[``, and has no rule for all addresses.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Collection

from cpuwatch.host_names import host_of, is_address
from cpuwatch.text import shortened
from cpuwatch.web.http.response import Answer, problem

__all__ = ["AllowedHosts", "misdirected"]

_MAX_REMEMBERED = 256


class AllowedHosts:
    """The names of this machine, and a cache of accepted ``Host`` headers."""

    def __init__(self, configured: Collection[str] = ()) -> None:
        self._any_host = "*" in configured
        own = socket.gethostname().lower()
        # Without a name server, machines find each other by multicast DNS (RFC 6762).
        self._names = {"localhost", own, f"{own.partition('.')[0]}.local", *configured}
        self._accepted: set[bytes | None] = {None}

    def look_up_full_name(self) -> None:
        """Add the full name of this machine, in a thread, because a name server can be slow."""
        threading.Thread(target=self._add_full_name, name="cpuwatch-full-name", daemon=True).start()

    def _add_full_name(self) -> None:
        self._names.add(socket.getfqdn().lower())

    def is_allowed(self, host: bytes | None) -> bool:
        """Whether this ``Host`` is an address or a name of this machine; None if there is no header."""
        if host in self._accepted or self._any_host:
            return True
        name = host_of((host or b"").decode("latin-1"))
        if name is None or not (name in self._names or is_address(name)):
            return False
        if len(self._accepted) >= _MAX_REMEMBERED:
            self._accepted = {None}
        self._accepted.add(host)
        return True


def misdirected(host: bytes | None) -> Answer:
    """The response to a request with another ``Host``."""
    shown = (host or b"").decode("latin-1")
    return problem(
        421,
        f"Host {shortened(shown)!r} is not allowed: use an address or a name of this machine, "
        "or add it to --allowed-hosts (CPUWATCH_ALLOWED_HOSTS)",
    )
