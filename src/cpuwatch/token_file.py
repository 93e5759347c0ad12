"""The token that clients show to be let in."""

from __future__ import annotations

import hmac
import re
from pathlib import Path

from msgspec import Struct

__all__ = ["Token", "parse_token", "read_token_file"]

_FEWEST_CHARACTERS = 16
_MOST_BYTES = 4096
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
"""What can stand behind ``Bearer`` (RFC 6750, 2.1)."""


class Token(Struct, frozen=True, gc=False):
    """A secret. It shows in no representation, so in no log, message or traceback."""

    secret: bytes

    def __repr__(self) -> str:
        return "Token(...)"

    def is_shown_by(self, authorization: bytes | None) -> bool:
        """Whether this value of an ``Authorization`` header is ``Bearer`` and the token.

        The time it takes tells nothing about how much of a wrong one was right.
        """
        if authorization is None:
            return False
        scheme, _, shown = authorization.partition(b" ")
        return hmac.compare_digest(shown.strip(b" "), self.secret) and scheme.lower() == b"bearer"


def parse_token(text: str) -> Token:
    """Raises ``ValueError`` with what is allowed, and without the text."""
    if not text:
        raise ValueError("the token is empty")
    if not _BEARER.fullmatch(text):
        raise ValueError("a token is letters, digits and - . _ ~ + /, with = at the end at most")
    if len(text) < _FEWEST_CHARACTERS:
        raise ValueError(f"a token of {len(text)} characters is too short: {_FEWEST_CHARACTERS} is the least")
    return Token(text.encode())


def read_token_file(path: str) -> Token:
    """The token in a file, which may end with a newline. Raises ``ValueError`` that names the file."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES)
    except OSError as error:
        raise ValueError(f"cannot read {path!r}: {error.strerror or error}") from None
    except ValueError:
        raise ValueError(f"{path!r} is no path of a file") from None
    try:
        return parse_token(content.decode("latin-1").strip())
    except ValueError as error:
        raise ValueError(f"{path!r}: {error}") from None
