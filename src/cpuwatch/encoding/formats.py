"""The formats of a view of a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from cpuwatch.encoding.json import encode_view
from cpuwatch.encoding.ndjson import encode_lines
from cpuwatch.encoding.table import table
from cpuwatch.model import Snapshot
from cpuwatch.query.parameters import choice, parameters
from cpuwatch.query.view import GroupedSnapshot

__all__ = ["FORMAT", "FORMATS", "Format"]

_Shown = Snapshot | GroupedSnapshot


class Format(Struct, frozen=True):
    """A name for ``?format=``, a media type, and the encoder."""

    name: str
    media_type: str
    content_type: str
    encode: Callable[[_Shown, Sequence[str] | None], bytes]


def _text(shown: _Shown, fields: Sequence[str] | None) -> bytes:
    # Lone surrogates are escaped, as table() escapes unprintable characters.
    return table(shown, fields).encode()


FORMATS = {
    chosen.name: chosen
    for chosen in (
        Format("json", "application/json", "application/json", encode_view),
        Format("ndjson", "application/x-ndjson", "application/x-ndjson", encode_lines),
        Format("text", "text/plain", "text/plain; charset=utf-8", _text),
    )
}
"""In order of preference."""

FORMAT = parameters(("format", "The format, in place of an Accept header.", choice(*FORMATS)))
