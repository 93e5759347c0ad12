"""How long a client would rather wait for something new (RFC 7240, ``Prefer: wait``). Pure."""

from __future__ import annotations

__all__ = ["MOST_WAIT_SECONDS", "wait_seconds"]

MOST_WAIT_SECONDS = 30
"""Shorter than most proxies wait for an answer."""


def wait_seconds(prefer: bytes | None) -> int | None:
    """The seconds to wait at most, from 0 to 30; None if nothing that can be understood is preferred.

    The first of several counts (RFC 7240, 2).
    """
    for preference in (prefer or b"").split(b","):
        name, _, value = preference.partition(b";")[0].partition(b"=")
        if name.strip().lower() == b"wait":
            digits = value.strip().strip(b'"')
            # No more digits than anybody means: int() takes long over many.
            return min(int(digits[:9]), MOST_WAIT_SECONDS) if digits.isdigit() else None
    return None
