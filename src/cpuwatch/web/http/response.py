"""Responses as finished bytes: bodies in a content coding, ETags, and problem details (RFC 9457)."""

from __future__ import annotations

import gzip
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable
from hashlib import blake2b
from http import HTTPStatus

import msgspec
import zstandard
from msgspec import UNSET, Struct, UnsetType
from starlette.types import ASGIApp, Receive, Scope, Send

from cpuwatch.errors import NotAcceptableError, QueryError
from cpuwatch.text import shortened
from cpuwatch.web.http.negotiation import choose_coding
from cpuwatch.web.http.request import header_text, headers, target

__all__ = [
    "CODINGS",
    "SECURITY_HEADERS",
    "Answer",
    "Endpoint",
    "FixedContent",
    "Problem",
    "coded",
    "no_snapshot_yet",
    "problem",
]

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (
        b"content-security-policy",
        # Allows a page with scripts and styles in files of this service, and nothing else.
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)
"""Restrictions for browsers, in every response."""

# A body is valid for one tick, so the fast levels. mtime=0, because equal bodies must have equal bytes.
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    # A new compressor each time: sharing one between threads crashes the process.
    "zstd": lambda body: zstandard.ZstdCompressor(level=3).compress(body),
    "gzip": lambda body: gzip.compress(body, compresslevel=4, mtime=0),
}
"""The content codings, in order of preference."""

_ALLOWED = "GET, HEAD, OPTIONS"
_MIN_COMPRESSED_BYTES = 1024
"""A smaller body fits into one packet as it is."""
_REPRESENTATION_HEADERS = {b"content-type", b"content-length", b"content-encoding"}

_log = logging.getLogger("cpuwatch.web")


class Answer(Struct, frozen=True):
    """Status, headers with the content length, and the whole body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    etag: bytes | None = None

    @classmethod
    def of(
        cls,
        body: bytes,
        media_type: str,
        status: int = 200,
        headers: Iterable[tuple[str, str]] = (),
        etag: str | None = None,
    ) -> Answer:
        """A response with this body.

        With an ``etag``, caches may store it but must revalidate it. Nothing else may be stored: it is outdated within
        a second.
        """
        fields = [
            ("content-type", media_type),
            ("content-length", str(len(body))),
            ("cache-control", "no-store" if etag is None else "private, no-cache"),
            *headers,
        ]
        if etag is not None:
            fields.append(("etag", etag))
        raw = [(name.encode(), value.encode("latin-1")) for name, value in fields]
        return cls(status, (*raw, *SECURITY_HEADERS), body, None if etag is None else etag.encode("latin-1"))

    def unless_known(self, if_none_match: bytes | None) -> Answer:
        """The same response, or 304 if the client has it (RFC 9110, 13.1.2: weak comparison)."""
        if self.etag is None or if_none_match is None:
            return self
        known = [tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")]
        if self.etag not in known and known != [b"*"]:
            return self
        headers = tuple(field for field in self.headers if field[0] not in _REPRESENTATION_HEADERS)
        return Answer(304, headers, b"", self.etag)

    def with_header(self, name: bytes, value: bytes) -> Answer:
        """The same response with one more header."""
        return Answer(self.status, (*self.headers, (name, value)), self.body, self.etag)

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Send the response (ASGI); without the body for HEAD (RFC 9110, 9.3.2)."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else self.body})


class Problem(Struct, frozen=True):
    """The body of every error (RFC 9457).

    ``detail`` says what is wrong and what is allowed. If there is an ``id``, the log has the details under it.
    """

    type: str
    title: str
    status: int
    detail: str
    id: str | UnsetType = UNSET


def problem(
    status: int,
    detail: str,
    headers: Iterable[tuple[str, str]] = (),
    id: str | UnsetType = UNSET,  # noqa: A002  the name of the member
) -> Answer:
    """The response for an error."""
    body = Problem("about:blank", HTTPStatus(status).phrase, status, detail, id)
    return Answer.of(msgspec.json.encode(body), "application/problem+json", status, headers)


def no_snapshot_yet() -> Answer:
    """The response while there is no snapshot."""
    return problem(503, "no snapshot yet: the first one comes within a second", [("retry-after", "1")])


def coded(body: bytes, coding: str) -> tuple[bytes, list[tuple[str, str]]]:
    """The body in this coding, and its header; unchanged and without one for ``identity``, or if it is small."""
    if coding not in CODINGS or len(body) < _MIN_COMPRESSED_BYTES:
        return body, []
    return CODINGS[coding](body), [("content-encoding", coding)]


class FixedContent:
    """Content that does not change while the service runs, in each content coding."""

    def __init__(self, content: bytes, content_type: str) -> None:
        tag = blake2b(content, digest_size=8).hexdigest()
        self._answers: dict[str, Answer] = {}
        for coding in ("identity", *CODINGS):
            body, encoding = coded(content, coding)
            etag = f'"{tag}-{coding}"' if encoding else f'"{tag}"'
            self._answers[coding] = Answer.of(
                body, content_type, headers=[("vary", "accept-encoding"), *encoding], etag=etag
            )

    def answer(self, scope: Scope) -> Answer:
        """The representation that the client prefers, or 304 if the client has it."""
        coding = choose_coding(header_text(scope, b"accept-encoding"), list(CODINGS))
        return self._answers[coding].unless_known(headers(scope).get(b"if-none-match"))


class Endpoint:
    """An ASGI endpoint that answers GET and HEAD with the response of a function, and handles OPTIONS.

    Starlette's Request and Response objects cost as much as the rest of a request to ``/cpu_usage``, so such functions
    take the scope and return an :class:`Answer`, or another ASGI app that sends the response.
    """

    def __init__(self, get: Callable[[Scope], Awaitable[ASGIApp]]) -> None:
        self._get = get

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request (ASGI).

        A :class:`~cpuwatch.errors.QueryError` is 400, a :class:`~cpuwatch.errors.NotAcceptableError` 406, and any other
        exception 500 with an id, under which it is logged.
        """
        answer: ASGIApp
        method = scope["method"]
        if method in {"GET", "HEAD"}:
            try:
                answer = await self._get(scope)
            except QueryError as error:
                answer = problem(400, str(error))
            except NotAcceptableError as error:
                answer = problem(406, str(error))
            except Exception:  # noqa: BLE001  answered and logged here
                answer = _crashed(scope)
        elif method == "OPTIONS":
            answer = Answer(204, ((b"allow", _ALLOWED.encode()), *SECURITY_HEADERS), b"")
        else:
            detail = f"method {shortened(method)} is not allowed: use {_ALLOWED}"
            answer = problem(405, detail, headers=[("allow", _ALLOWED)])
        await answer(scope, receive, send)


def _crashed(scope: Scope) -> Answer:
    crash_id = secrets.token_hex(8)
    request = f"{scope['method']} {target(scope)}"
    _log.exception("no response to %r, id %s", request, crash_id, extra={"fields": {"id": crash_id}})
    return problem(500, "internal error: the log of cpuwatch has the details under this id", id=crash_id)
