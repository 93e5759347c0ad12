"""Limits on concurrent use, in total and for each client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.types import Scope

from cpuwatch.web.http.response import Answer, problem

__all__ = ["Places", "client_of", "refused", "share_of"]

_SHARE = 4
_MIN_SHARE = 2
"""The page reads a stream and the past at the same time."""
_CLIENT_BITS_IPV6 = 64
"""A host can choose any address in a network of this length (RFC 4291, 2.5.4)."""


class Places:
    """A total number of places, and how many of them each client occupies."""

    def __init__(self, total: int, what: str) -> None:
        self._total = total
        self._what = what
        self._taken: Counter[str | None] = Counter()

    def refusal(self, client: str | None) -> Answer | None:
        """Return the response to a client for which there is no place, or None if there is one."""
        if self._taken.total() >= self._total:
            return refused(503, f"there are {self._total} {self._what} already, which is the limit", 1)
        share = share_of(self._total)
        if client is not None and self._taken[client] >= share:
            return refused(429, f"{client} has {share} {self._what}, the limit for one client", 1)
        return None

    @contextmanager
    def taken(self, client: str | None) -> Iterator[None]:
        """Occupy a place within the block; check :meth:`refusal` before."""
        self._taken[client] += 1
        try:
            yield
        finally:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]


def share_of(total: int) -> int:
    """How many of these places one client may occupy."""
    return max(_MIN_SHARE, total // _SHARE)


def refused(status: int, detail: str, retry_seconds: int) -> Answer:
    """The response to a client that finds no place."""
    return problem(status, detail, [("retry-after", str(retry_seconds))])


def client_of(scope: Scope, proxies: Collection[IPv4Network | IPv6Network]) -> str | None:
    """The client of a request: its IPv4 address, or its IPv6 /64.

    None if the address stands for many clients: on a unix socket, under the prefix of a proxy, and for ``proxies``.
    """
    if not scope.get("client") or scope.get("root_path"):
        return None
    try:
        address: IPv4Address | IPv6Address = ip_address(scope["client"][0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if any(address in network for network in proxies):
        return None
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address.packed, _CLIENT_BITS_IPV6), strict=False))
