"""Parsers for values in URLs, flags and variables, and their error messages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from cpuwatch.text import shortened

__all__ = ["invalid", "invalid_choice", "parse_choice", "parse_integer"]


def invalid(what: str, text: str, rule: str) -> str:
    """Return the message for an invalid value: its name, what was given, and what is allowed."""
    return f"invalid {what} {shortened(text)!r}: {rule}"


def parse_integer(what: str, text: str, low: int, high: int) -> int:
    """An integer in decimal digits. Raises ``ValueError`` with what is allowed."""
    # int() accepts blanks, signs, underscores and digits of other scripts, and has its own message for long numbers.
    if text.isascii() and text.isdigit() and len(text) <= len(str(high)) and low <= int(text) <= high:
        return int(text)
    raise ValueError(invalid(what, text, f"must be an integer from {low} to {high}"))


def parse_choice(what: str, text: str, allowed: Sequence[str]) -> str:
    """One of the allowed values. Raises ``ValueError`` with :func:`invalid_choice`."""
    if text not in allowed:
        raise ValueError(invalid_choice(what, text, allowed))
    return text


def invalid_choice(what: str, text: str, allowed: Sequence[str]) -> str:
    """Return the message for a value that is not one of these, with the nearest valid one if it is similar."""
    rule = f"must be one of {', '.join(allowed)}"
    nearest = _nearest(text.lower(), allowed)
    return invalid(what, text, rule if nearest is None else f"did you mean {nearest}? It {rule}")


def _nearest(text: str, allowed: Sequence[str]) -> str | None:
    """The first value that begins like this, which difflib rates low if the rest is long; otherwise a similar one."""
    beginning = (value for value in allowed if text and value.startswith(text))
    return next(beginning, None) or next(iter(get_close_matches(text, allowed, n=1)), None)
