"""Chooses the format and content coding of a response: proactive negotiation (RFC 9110, 12). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cpuwatch.errors import NotAcceptableError

__all__ = ["accepted", "choose_coding", "choose_media_type"]


def accepted(accept: str | None, offered: Sequence[str], alternative: str = "") -> str:
    """Like :func:`choose_media_type`, but raises :class:`~cpuwatch.errors.NotAcceptableError` if none is acceptable."""
    chosen = choose_media_type(accept, offered)
    if chosen is None:
        raise NotAcceptableError(f"available formats: {', '.join(offered)}{alternative}")
    return chosen


def choose_media_type(accept: str | None, offered: Sequence[str]) -> str | None:
    """Choose a media type. ``offered`` is in order of preference; None if none is acceptable.

    The most specific matching range determines the weight of a type (RFC 9110, 12.5.1). Without a header, all are
    acceptable. A range with parameters, such as ``text/plain;format=flowed``, counts only if there is none without.
    """
    ranges: dict[str, float] = {}
    for name, parameters, quality in _weights(accept or ""):
        if parameters:
            ranges.setdefault(name, quality)
        else:
            ranges[name] = quality
    ranges = ranges or {"*/*": 1.0}

    def weight(media_type: str) -> float:
        kind = media_type.partition("/")[0]
        return next((ranges[name] for name in (media_type, f"{kind}/*", "*/*") if name in ranges), 0.0)

    # max() returns the first of equal ones.
    best = max(offered, key=weight)
    return best if weight(best) > 0 else None


def choose_coding(accept_encoding: str | None, offered: Sequence[str]) -> str:
    """Choose a content coding. ``offered`` is in order of preference; ``identity`` if none of them is accepted.

    ``identity`` is the fallback even if it is refused, because a response is more useful than a 406 (RFC 9110, 12.5.3
    permits that).
    """
    if not accept_encoding:
        return "identity"
    weights = {name: quality for name, _, quality in _weights(accept_encoding)}
    star = weights.get("*", 0.0)

    def weight(coding: str) -> float:
        return weights.get(coding, star)

    best = max(offered, key=weight, default="identity")
    # Clients rarely name identity. One that gives it a weight prefers it to all codings with a lower weight.
    return best if weight(best) > 0 and weight(best) >= weights.get("identity", 0.0) else "identity"


def _weights(header: str) -> Iterator[tuple[str, list[str], float]]:
    """Yield the name of each list member, its parameters except ``q``, and its weight."""
    for part in header.split(","):
        name, *pieces = (piece.strip().lower() for piece in part.split(";"))
        quality, parameters = 1.0, []
        for piece in filter(None, pieces):
            key, _, text = piece.partition("=")
            if key.strip() == "q":
                quality = _quality(text.strip())
            else:
                parameters.append(piece)
        if name:
            yield name, parameters, quality


def _quality(text: str) -> float:
    """A weight in 0..1. An invalid weight counts as 0."""
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0
