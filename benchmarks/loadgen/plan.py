"""The options of the suite, parsed and checked."""

from __future__ import annotations

import shlex
from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import psutil

__all__ = ["DEFAULT", "Address", "Plan", "address", "command", "count", "port", "seconds"]

_MAX_SECONDS = 86_400
_MAX_CONNECTIONS = 500


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens on this machine, and the path to request."""

    host: str
    port: int
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of the scenario. Without a port a free one is taken; with an ``address`` no server is started.

    ``fixed_rate_seconds`` None: a fifth of the duration, 60 s at most; 0: no such phase.
    """

    duration_seconds: float = 300.0
    connections: int = 5
    warm_up_seconds: float = 5.0
    fixed_rate_seconds: float | None = None
    address: Address | None = None
    server_command: str = "hypercorn cpuwatch.web:app -b 127.0.0.1:{port}"
    port: int | None = None
    extra_processes: int = 0

    @property
    def seconds_at_fixed_rate(self) -> float:
        if self.fixed_rate_seconds is None:
            return min(60.0, self.duration_seconds / 5)
        return self.fixed_rate_seconds


DEFAULT = Plan()


def seconds(least: float) -> Callable[[str], float]:
    """Parses a number of seconds, ``least`` or more."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1
        if not least <= value <= _MAX_SECONDS:
            raise ArgumentTypeError(f"{text!r} is not a number of seconds from {least:g} to {_MAX_SECONDS}")
        return value

    return parse


def count(least: int, most: int = 1_000_000) -> Callable[[str], int]:
    """Parses an integer from ``least`` to ``most``."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ArgumentTypeError(f"{text!r} is not an integer from {least} to {most}")
        return int(text)

    return parse


port = count(1, 65_535)
connections = count(1, _MAX_CONNECTIONS)
processes = count(0)


def address(text: str) -> Address:
    """Parses a URL of this machine; the default path is ``/cpu_usage``."""
    wanted = "http://127.0.0.1:8845 or http://127.0.0.1:8845/cpu_usage"
    try:
        parts = urlsplit(text)
        host, number = parts.hostname, parts.port
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r}: {error}; expected a URL like {wanted}") from error
    if parts.scheme != "http" or not host or parts.username is not None or not text.isascii() or " " in text:
        raise ArgumentTypeError(f"{text!r} is not a URL like {wanted}")
    if not _is_here(host):
        raise ArgumentTypeError(
            f"{text!r}: {host} is not an address of this machine; only this machine may be put under load"
        )
    query = f"?{parts.query}" if parts.query else ""
    return Address(host, number or 80, (parts.path.rstrip("/") or "/cpu_usage") + query)


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        if ip_address(host).is_loopback:
            return True
    except ValueError:
        return False
    return any(host == known.address for known_by_card in psutil.net_if_addrs().values() for known in known_by_card)


def command(text: str) -> str:
    """A server's command, with ``{port}`` in the place of its port."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r}: {error}") from error
    if not any("{port}" in word for word in words):
        raise ArgumentTypeError(f"{text!r}: it must contain {{port}} in the place of the port")
    return text
