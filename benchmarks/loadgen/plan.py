"""What is to be run: the options of the suite, parsed and checked."""

from __future__ import annotations

import shlex
from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from benchmarks.loadgen.results import Results, UnreadableResultsError, read_results

__all__ = ["DEFAULT", "Address", "Plan", "address", "baseline", "command", "count", "port", "seconds"]

_LONGEST_SECONDS = 86_400
_MOST_CONNECTIONS = 500


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens on this machine, and what to ask it for."""

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
    baseline: tuple[Results, ...] = ()

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
        if not least <= value <= _LONGEST_SECONDS:
            raise ArgumentTypeError(f"{text!r} is no number of seconds from {least:g} to {_LONGEST_SECONDS}")
        return value

    return parse


def count(least: int, most: int) -> Callable[[str], int]:
    """Parses a whole number from ``least`` to ``most``."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return parse


port = count(1, 65_535)
connections = count(1, _MOST_CONNECTIONS)
processes = count(0, 1_000_000)


def address(text: str) -> Address:
    """Parses a URL of this machine; without a path it means ``/cpu_usage``."""
    wanted = "http://127.0.0.1:8845 or http://127.0.0.1:8845/cpu_usage"
    try:
        parts = urlsplit(text)
        host, number = parts.hostname, parts.port
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r}: {error}; it has to be like {wanted}") from error
    if parts.scheme != "http" or not host or parts.username is not None or not text.isascii() or " " in text:
        raise ArgumentTypeError(f"{text!r} is no URL like {wanted}")
    if not _is_here(host):
        raise ArgumentTypeError(f"{text!r}: {host} is not this machine, and nothing else is to be put under load")
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
    """A server's command, which takes its port where ``{port}`` stands."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r}: {error}") from error
    if not any("{port}" in word for word in words):
        raise ArgumentTypeError(f"{text!r}: it has to say with {{port}} where the port goes")
    return text


def baseline(text: str) -> Results:
    """The data of an earlier run, from its file."""
    try:
        return read_results(Path(text))
    except UnreadableResultsError as error:
        raise ArgumentTypeError(str(error)) from error
