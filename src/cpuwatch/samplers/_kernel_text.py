"""Names from the kernel are bytes, chosen by whoever runs the process; here they become text."""

from __future__ import annotations

import os
import re

__all__ = ["from_bytes", "from_locale", "from_surrogates"]

_SURROGATE = re.compile("[\ud800-\udfff]")


def from_bytes(raw: bytes) -> str:
    r"""Decode UTF-8; a byte that is none is shown as ``\xNN``.

    U+FFFD would make different names equal, and surrogates (PEP 383) are no valid JSON. Backslashes stay as they
    are, so a name that spells such an escape out looks like one that has the byte.
    """
    return raw.decode("utf-8", "backslashreplace")


def from_locale(text: str) -> str:
    """The same for text that Python or a library decoded in the locale's encoding (:func:`os.fsdecode`).

    Names are UTF-8 for the kernel, the programs and the user database, whatever the locale of their reader.
    """
    return from_bytes(os.fsencode(text))


def from_surrogates(text: str) -> str:
    r"""The same for text that another library decoded with ``surrogateescape``; other surrogates become ``\uNNNN``."""
    return _SURROGATE.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
