"""The token check, and CORS for pages of other origins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cpuwatch.settings import Settings
from cpuwatch.web.http.request import headers
from cpuwatch.web.http.response import SECURITY_HEADERS, problem

__all__ = ["Cors", "TokenCheck"]


class TokenCheck:
    """Middleware of a route: answers 401 unless the request has the token, if one is set.

    It belongs to routes, not to the app: whether a path needs the token is decided by the route that answers it, so a
    prefix or an unusual spelling of the path makes no difference. ``settings_of`` finds the settings of a request.
    """

    def __init__(self, app: ASGIApp, settings_of: Callable[[Scope], Settings]) -> None:
        self._app = app
        self._settings_of = settings_of

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle a request (ASGI)."""
        token = self._settings_of(scope).token
        if token is None or token.matches(credentials := headers(scope).get(b"authorization")):
            return self._app(scope, receive, send)
        # RFC 6750, 3: the error is for requests that had credentials.
        challenge = 'Bearer realm="cpuwatch"' + ("" if credentials is None else ', error="invalid_token"')
        refusal = problem(401, "a token is required: Authorization: Bearer TOKEN", [("www-authenticate", challenge)])
        return refusal(scope, receive, send)


class Cors:
    """Starlette's CORS middleware for the configured origins, created when the settings are known.

    Credentials stored by browsers (cookies, certificates) are never allowed; a page sends the token itself.
    """

    def __init__(self, app: ASGIApp, settings_of: Callable[[Scope], Settings]) -> None:
        self._app = app
        self._settings_of = settings_of
        self._by_origins: dict[frozenset[str], ASGIApp] = {}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle a request (ASGI)."""
        if scope["type"] != "http" or not (origins := self._settings_of(scope).cors_origins):
            return self._app(scope, receive, send)
        if origins not in self._by_origins:
            self._by_origins[origins] = _OriginsAllowed(
                self._app,
                allow_origins=origins,
                allow_methods=("GET", "HEAD", "OPTIONS"),
                allow_headers=("authorization", "if-none-match", "last-event-id", "prefer"),
                expose_headers=("etag", "retry-after", "server-timing"),
            )
        return self._by_origins[origins](scope, receive, send)


class _OriginsAllowed(CORSMiddleware):
    def preflight_response(self, request_headers: Headers) -> Response:
        """The response to a preflight request, which no endpoint handles, with the usual headers."""
        response = super().preflight_response(request_headers)
        response.raw_headers.extend(SECURITY_HEADERS)
        return response
