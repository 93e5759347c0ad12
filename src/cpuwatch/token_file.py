"""The token that clients must send, and the file that holds it."""

from __future__ import annotations

import hmac
import re
from pathlib import Path

from msgspec import Struct

__all__ = ["Token", "parse_token", "read_token_file"]

_MIN_CHARACTERS = 16
_MAX_BYTES = 4096
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
"""The syntax of a bearer token (``b64token``, RFC 6750, 2.1)."""


class Token(Struct, frozen=True, gc=False):
    """A secret. Its ``repr`` hides it, so no log, message or traceback shows it."""

    secret: bytes

    def __repr__(self) -> str:
        return "Token(...)"

    def matches(self, authorization: bytes | None) -> bool:
        """Whether this value of an ``Authorization`` header is ``Bearer`` and the token.

        Compares in constant time.
        """
        if authorization is None:
            return False
        scheme, _, shown = authorization.partition(b" ")
        return hmac.compare_digest(shown.strip(b" "), self.secret) and scheme.lower() == b"bearer"


def parse_token(text: str) -> Token:
    """A token. Raises ``ValueError`` with what is allowed, without the text itself."""
    if not text:
        raise ValueError(f"the token is empty: write at least {_MIN_CHARACTERS} characters")
    if not _BEARER.fullmatch(text):
        raise ValueError("invalid token: only letters, digits, - . _ ~ + / and trailing = are allowed")
    if len(text) < _MIN_CHARACTERS:
        raise ValueError(f"a token of {len(text)} characters is too short: use at least {_MIN_CHARACTERS}")
    return Token(text.encode())


def read_token_file(path: str) -> Token:
    """The token in a file, which may end with a newline. Raises ``ValueError`` that names the file."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES)
    except OSError as error:
        raise ValueError(f"cannot read {path!r}: {error.strerror or error}") from None
    except ValueError:
        raise ValueError(f"invalid path {path!r}") from None
    try:
        return parse_token(content.decode("latin-1").strip())
    except ValueError as error:
        raise ValueError(f"{path!r}: {error}") from None
