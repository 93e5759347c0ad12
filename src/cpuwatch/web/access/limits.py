"""Limits on concurrent requests and streams: in total, for each client, and of different views."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple, TypeVar

from starlette.types import Scope

from cpuwatch.query.parameters import VIEW, parse_query_string, view_from
from cpuwatch.query.view import View
from cpuwatch.web.http.response import Answer, problem

__all__ = ["PAGE_VIEWS", "Places", "StreamPlaces", "client_of", "refused", "share_of"]

_SHARE = 4
_MIN_SHARE = 2
"""The page reads a stream and the past at the same time."""
_CLIENT_BITS_IPV6 = 64
"""A host can choose any address in a network of this length (RFC 4291, 2.5.4)."""
_MAX_VIEWS = 32
_STREAM_RETRY_SECONDS = 5
_PAST_OF_THE_PAGE = b"fields=key,cpu_percent&min_percent=0.2"

PAGE_VIEWS: frozenset[View] = frozenset({View(), view_from(parse_query_string(_PAST_OF_THE_PAGE, VIEW))})
"""The views that the page listens to (``static/feed/worker.js``). There is always room for them."""

_Taker = TypeVar("_Taker")


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
        with _counted(self._taken, client):
            yield


class _Place(NamedTuple):
    view: View
    client: str | None


class StreamPlaces:
    """The open streams.

    Different views are limited too, because each costs work at every tick. The views of the page are exempt, and some
    places are reserved for them.
    """

    def __init__(self, total: int, max_views: int = _MAX_VIEWS) -> None:
        self._total = total
        self._max_views = max_views
        # The rest is reserved for the views of the page.
        self._max_others = max(1, total - share_of(total))
        self._taken: Counter[_Place] = Counter()

    @property
    def taken_places(self) -> int:
        """The number of open streams."""
        return self._taken.total()

    def refusal(self, view: View, client: str | None) -> Answer | None:
        """Return the response to a client for which there is no place, or None if there is one."""
        for_page = view in PAGE_VIEWS
        everyone = list(self._taken.elements())
        alike = [place for place in everyone if (place.view in PAGE_VIEWS) == for_page]
        full = _excess(everyone, view, self._total)
        if not for_page:
            full = full or _excess(alike, view, self._max_others, self._max_views)
        if full:
            return refused(503, f"{full}, which is the limit", _STREAM_RETRY_SECONDS)
        own = [place for place in alike if client is not None and place.client == client]
        own_full = _excess(own, view, share_of(self._total), share_of(self._max_views))
        if own_full:
            return refused(429, f"{own_full} by {client}, which is the limit for one client", _STREAM_RETRY_SECONDS)
        return None

    @contextmanager
    def taken(self, view: View, client: str | None) -> Iterator[None]:
        """Occupy a place within the block; check :meth:`refusal` before."""
        with _counted(self._taken, _Place(view, client)):
            yield


@contextmanager
def _counted(taken: Counter[_Taker], taker: _Taker) -> Iterator[None]:
    taken[taker] += 1
    try:
        yield
    finally:
        taken[taker] -= 1
        if not taken[taker]:
            del taken[taker]


def _excess(places: Sequence[_Place], view: View, limit: int, max_views: float = math.inf) -> str | None:
    """Return which limit one more stream of this view would exceed."""
    views = {place.view for place in places}
    if len(places) >= limit:
        return f"{limit} streams are open already"
    if view not in views and len(views) >= max_views:
        return f"streams of {max_views} different views are open already"
    return None


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
