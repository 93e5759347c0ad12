"""Which format and which content coding an answer takes: proactive negotiation (RFC 9110, 12). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cpuwatch.errors import NotAcceptableError

__all__ = ["accepted", "choose_coding", "choose_media_type"]


def accepted(accept: str | None, offered: Sequence[str], alternative: str = "") -> str:
    """As :func:`choose_media_type`, but raises :class:`~cpuwatch.errors.NotAcceptableError` if none is acceptable."""
    chosen = choose_media_type(accept, offered)
    if chosen is None:
        raise NotAcceptableError(f"available formats: {', '.join(offered)}{alternative}")
    return chosen


def choose_media_type(accept: str | None, offered: Sequence[str]) -> str | None:
    """The best of the media types, which are offered in order of preference; None if none is acceptable.

    The most specific range that fits a type decides its weight (RFC 9110, 12.5.1). No header accepts all. A range with
    parameters, such as ``text/plain;format=flowed``, counts where its type is not named without them.
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

    # max() keeps the first of equals.
    best = max(offered, key=weight)
    return best if weight(best) > 0 else None


def choose_coding(accept_encoding: str | None, offered: Sequence[str]) -> str:
    """The best of the content codings, offered in order of preference; ``identity`` if no other is wanted.

    ``identity`` is the last resort even where it is refused, for an answer helps more than a 406 (RFC 9110, 12.5.3
    leaves that open).
    """
    if not accept_encoding:
        return "identity"
    weights = {name: quality for name, _, quality in _weights(accept_encoding)}
    star = weights.get("*", 0.0)

    def weight(coding: str) -> float:
        return weights.get(coding, star)

    best = max(offered, key=weight, default="identity")
    # Nobody names identity; who gives it a weight of its own prefers it to all below that.
    return best if weight(best) > 0 and weight(best) >= weights.get("identity", 0.0) else "identity"


def _weights(header: str) -> Iterator[tuple[str, list[str], float]]:
    """Of each member of the list its name, its parameters but ``q``, and its weight."""
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
    """A weight in 0..1; 0 for what is none, so that it is not taken by mistake."""
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0
