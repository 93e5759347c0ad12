"""URLs and headers of receivers of metrics, as flags and variables write them. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from cpuwatch.text import shortened

__all__ = ["Headers", "parse_headers", "parse_http_url"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
"""The name of a header (``token``, RFC 9110, 5.6.2)."""
_VALUE = re.compile(r"[\x20-\x7e\t]*", re.ASCII)


class Headers(Struct, frozen=True, gc=False):
    """Headers whose values may be secrets. Its ``repr`` hides them, so no log, message or traceback shows them."""

    pairs: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Headers({', '.join(f'{name}=...' for name, _ in self.pairs)})"


def parse_http_url(text: str) -> str:
    """An absolute URL of http or https. Raises ``ValueError`` with what is allowed.

    The message leaves out user and password.
    """
    rule = "must be a URL such as https://example.org:4318"
    # urlsplit() removes line feeds and tabs, so it would accept what a client sends otherwise.
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"invalid URL: {rule}, without blanks or other characters than ASCII")
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError(f"invalid URL: {rule}") from None
    if not is_valid or parts.fragment:
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
        raise ValueError(f"invalid URL {shortened(shown)!r}: {rule}")
    return text


def parse_headers(text: str) -> Headers:
    """``NAME=VALUE`` separated by commas; values are URL-encoded. Raises ``ValueError``, without the values.

    The format is that of ``OTEL_EXPORTER_OTLP_HEADERS`` (opentelemetry.io/docs/specs/otel/protocol/exporter).
    """
    headers = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, separator, encoded = part.partition("=")
        name, value = name.strip(), unquote(encoded.strip())
        if not separator or not _NAME.fullmatch(name):
            raise ValueError(f"invalid header {shortened(name)!r}: must be NAME=VALUE, with a URL-encoded value")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"invalid value of the header {shortened(name)!r}: must be printable ASCII")
        headers[name] = value
    return Headers(tuple(headers.items()))
