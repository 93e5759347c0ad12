"""Who is let in: by the names that this machine goes by, by token, and pages of which origins."""

from __future__ import annotations

import socket
import threading

from cpuwatch.host_names import host_of, is_address
from cpuwatch.settings import Settings

__all__ = ["Rules"]

_MOST_REMEMBERED = 256


class Rules:
    """What the settings say about who may ask, with what was found out about those who did."""

    def __init__(self, settings: Settings) -> None:
        self.token = settings.token
        self.access_log = settings.access_log
        self.page = settings.page
        self.proxies = settings.proxies
        self.cors_origins = frozenset(origin.encode() for origin in settings.cors_origins)
        self._any_host = "*" in settings.allowed_hosts
        own = socket.gethostname().lower()
        # Where there is no name server, machines of a network call each other by multicast DNS (RFC 6762).
        self._names = {"localhost", own, f"{own.partition('.')[0]}.local", *settings.allowed_hosts}
        self._let_pass: set[bytes | None] = {None}

    def look_up_full_name(self) -> None:
        """Find out the machine's full name as well, meanwhile: a name server may take its time."""
        threading.Thread(target=self._learn_full_name, name="cpuwatch-full-name", daemon=True).start()

    def _learn_full_name(self) -> None:
        self._names.add(socket.getfqdn().lower())

    def let_pass_host(self, host: bytes | None) -> bool:
        """Whether a request may say in its ``Host`` that it is meant for this.

        A page of any site can have its name resolved to the address of this machine, and then reads what is here as if
        it were its own (DNS rebinding); its requests still carry that name. With an address, or a name that is known to
        be of this machine, that cannot be. Without ``Host`` it is no browser: those of HTTP/1.1 all send it, and the
        server refuses one that does not.
        """
        if host in self._let_pass or self._any_host:
            return True
        name = host_of((host or b"").decode("latin-1"))
        if name is None or not (name in self._names or is_address(name)):
            return False
        if len(self._let_pass) >= _MOST_REMEMBERED:
            self._let_pass = {None}
        self._let_pass.add(host)
        return True
