"""Content that stays the same as long as the service runs: an answer for each content coding, made once."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from starlette.types import Scope

from cpuwatch.web.http.compression import CODINGS, coded
from cpuwatch.web.http.negotiation import choose_coding
from cpuwatch.web.http.request import header, header_text
from cpuwatch.web.http.response import Answer

__all__ = ["answer_in_coding", "in_each_coding"]

_VARY = ("vary", "accept-encoding")


def in_each_coding(content: bytes, content_type: str) -> dict[str, Answer]:
    """The answers by content coding; each has a tag."""
    name = blake2b(content, digest_size=8).hexdigest()
    plain = Answer.of(content, content_type, headers=[_VARY], etag=f'"{name}"')
    answers = {"identity": plain}
    for coding in CODINGS:
        body, said = coded(content, coding)
        answers[coding] = (
            Answer.of(body, content_type, headers=[_VARY, *said], etag=f'"{name}-{coding}"') if said else plain
        )
    return answers


def answer_in_coding(answers: Mapping[str, Answer], scope: Scope) -> Answer:
    """The one of these that the client likes best, or 304 if it has it."""
    coding = choose_coding(header_text(scope, b"accept-encoding"), list(CODINGS))
    return answers[coding].unless_known(header(scope, b"if-none-match"))
