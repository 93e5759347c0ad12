"""Text that the kernel, users or clients chose, made safe to show. Pure."""

from __future__ import annotations

import os
import re

__all__ = ["printable", "shortened", "text_from_bytes", "text_from_locale", "text_without_surrogates"]

_MAX_CHARACTERS = 40
_SURROGATE = re.compile("[\ud800-\udfff]")


def text_from_bytes(raw: bytes) -> str:
    r"""Decode UTF-8; invalid bytes become ``\xNN``.

    U+FFFD would make different names equal, and surrogates (PEP 383) are not valid in JSON. Backslashes are kept, so a
    name that contains the four characters of such an escape looks like one that contains the byte.
    """
    return raw.decode("utf-8", "backslashreplace")


def text_from_locale(text: str) -> str:
    """Decode again, as UTF-8, what Python or a library decoded in the locale's encoding (:func:`os.fsdecode`).

    Names are UTF-8 for the kernel, the programs and the user database, whatever locale this process runs in.
    """
    return text_from_bytes(os.fsencode(text))


def text_without_surrogates(text: str) -> str:
    r"""Escape what a library decoded with ``surrogateescape``; other surrogates become ``\uNNNN``."""
    return _SURROGATE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def printable(text: str, encoding: str = "utf-8") -> str:
    """Escape everything that a terminal might obey, and every character that ``encoding`` lacks."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return text if text.isascii() else text.encode(encoding, "backslashreplace").decode(encoding)


def shortened(text: str, max_characters: int = _MAX_CHARACTERS) -> str:
    """Truncate client input for use in messages; three dots mark the cut."""
    return text if len(text) <= max_characters else f"{text[:max_characters]}..."
