"""Encodes snapshots as JSON, and decodes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from cpuwatch.encoding.rounded import rounded
from cpuwatch.encoding.rows import reduced
from cpuwatch.errors import DecodeError
from cpuwatch.model import Snapshot
from cpuwatch.packed_rows import PackedRows
from cpuwatch.query.view import GroupedSnapshot
from cpuwatch.text import text_without_surrogates

__all__ = ["decode", "encode", "encode_view"]


def _as_builtin(value: object) -> object:
    """Convert types that msgspec does not know."""
    if isinstance(value, PackedRows):
        return list(value)
    raise TypeError(f"there is no JSON for {type(value).__name__}")


_ENCODER = msgspec.json.Encoder(enc_hook=_as_builtin)
_DECODER = msgspec.json.Decoder(Snapshot)


def encode(value: object) -> bytes:
    r"""Encode a snapshot, or a part of one, as JSON (RFC 8259) in UTF-8.

    ``decode(encode(snapshot)) == snapshot`` for all valid Unicode text. Lone surrogates, which a third-party sampler
    may return, are not valid: the bytes they stand for are shown as ``\xNN``.
    """
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        return _ENCODER.encode(_without_surrogates(msgspec.to_builtins(value, enc_hook=_as_builtin)))


def encode_view(shown: Snapshot | GroupedSnapshot, fields: Sequence[str] | None = None) -> bytes:
    """Encode the result of :func:`~cpuwatch.query.view.apply_view`, with only these ``fields`` of each process.

    Values are rounded to their precision (:mod:`cpuwatch.encoding.rounded`); :func:`encode` keeps them exact.
    """
    shown = rounded(shown)
    if fields is None or isinstance(shown, GroupedSnapshot):
        return encode(shown)
    body = {field.name: getattr(shown, field.name) for field in msgspec.structs.fields(shown)}
    return encode(body | {"processes": [reduced(row, fields) for row in shown.processes]})


def decode(data: bytes | str) -> Snapshot:
    """Decode a snapshot. Unknown fields are ignored.

    Raises :class:`~cpuwatch.errors.DecodeError` with the invalid field if the data are not a snapshot.
    """
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DecodeError(f"not the JSON of a cpuwatch snapshot: {error}") from error


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return text_without_surrogates(value)
        case list():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value
