"""Makes text from the kernel, users and clients safe to show. Pure."""

from __future__ import annotations

import os
import re
from datetime import datetime

__all__ = ["printable", "shortened", "text_from_bytes", "text_from_locale", "text_without_surrogates", "time_text"]

_MAX_CHARACTERS = 40
_SURROGATE = re.compile("[\ud800-\udfff]")


def text_from_bytes(raw: bytes) -> str:
    r"""Decode UTF-8; invalid bytes become ``\xNN``.

    U+FFFD would make different names equal, and surrogates (PEP 383) are invalid in JSON. Backslashes are not escaped,
    so a name with the four characters ``\xNN`` looks the same as a name with that byte.
    """
    return raw.decode("utf-8", "backslashreplace")


def text_from_locale(text: str) -> str:
    """Decode text as UTF-8 that Python or a library decoded in the locale's encoding (:func:`os.fsdecode`).

    Programs and the user database use UTF-8 for names, whatever the locale of this process.
    """
    return text_from_bytes(os.fsencode(text))


def text_without_surrogates(text: str) -> str:
    r"""Escape bytes that were decoded with ``surrogateescape``; other surrogates become ``\uNNNN``."""
    return _SURROGATE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def printable(text: str, encoding: str = "utf-8") -> str:
    """Escape control characters for terminals, and every character that ``encoding`` lacks."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return text if text.isascii() else text.encode(encoding, "backslashreplace").decode(encoding)


def shortened(text: str, max_characters: int = _MAX_CHARACTERS) -> str:
    """Truncate client input for use in messages; three dots mark the cut."""
    return text if len(text) <= max_characters else f"{text[:max_characters]}..."


def time_text(instant: datetime) -> str:
    """A time in UTC as in JSON: ISO 8601 with microseconds and ``Z``."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
