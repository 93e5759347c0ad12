"""What a machine answers, as far as the page shows it. Pure.

Another program may listen on the port, so every value has bounds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

__all__ = ["TOP", "PeerAttribution", "PeerProcess", "PeerUsage", "decode_usage", "usage_target"]

TOP = 3
"""The rows to ask for: the worst process, and the next ones."""

_Name = Annotated[str, Meta(max_length=1000)]
_Share = Annotated[float, Meta(ge=0, le=1000)]
"""In percent of the machine. Attribution can exceed 100 by the rounding of the kernel's ticks."""
_Percent = Annotated[float, Meta(ge=0, le=1e7)]


class PeerProcess(Struct, frozen=True):
    """A process of a peer; ``total_percent`` is in percent of one CPU, with its exited descendants."""

    pid: int
    name: _Name | None
    user: _Name | None
    total_percent: _Percent | None


class PeerAttribution(Struct, frozen=True):
    """Where the busy time of a peer went, in percent of the machine."""

    processes_percent: _Share | None
    exited_percent: _Share | None
    unattributed_percent: _Share | None


class _Host(Struct, frozen=True):
    name: _Name
    logical_cpus: Annotated[int, Meta(ge=1, le=1_000_000)]


class _Machine(Struct, frozen=True):
    cpu_percent: _Share | None


class PeerUsage(Struct, frozen=True):
    """The parts of a snapshot that the page of machines shows."""

    time: datetime
    interval_seconds: Annotated[float, Meta(gt=0, le=1e6)]
    host: _Host
    machine: _Machine
    attribution: PeerAttribution
    processes: Annotated[list[PeerProcess], Meta(max_length=TOP)]


def usage_target(path: str) -> str:
    """The request target, below the prefix of the peer's proxy."""
    return f"{path}/cpu_usage?top={TOP}&fields=pid,name,user,total_percent"


def decode_usage(body: bytes) -> PeerUsage:
    """Parse the body. Raises ``ValueError`` that says what is wrong with it."""
    try:
        return msgspec.json.decode(body, type=PeerUsage)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not an answer of cpuwatch: {error}") from None
