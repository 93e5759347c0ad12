"""The layer around the whole app: who is let in, how much a request may be, and what becomes of a crash."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Mapping
from functools import partial

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cpuwatch.text import shortened
from cpuwatch.web.access.access_log import log_request, target
from cpuwatch.web.access.cors import preflight, with_cors
from cpuwatch.web.access.hosts import Rules
from cpuwatch.web.http.problem import problem
from cpuwatch.web.http.request_body import announces_body, read_away, send_and_hang_up
from cpuwatch.web.http.request_target import BadTargetError, in_origin_form
from cpuwatch.web.http.response import Answer
from cpuwatch.web.routing import Endpoint, Routes

__all__ = ["Guard"]

_LONGEST_URL_BYTES = 8192

_log = logging.getLogger("cpuwatch.web")


class Guard:
    """Lets through to the endpoints what keeps the rules, and answers the rest itself.

    The rules are those of the lifespan, in the state; without one, the ``rules`` given here. A path that is none of the
    ``routes`` goes to ``otherwise``.
    """

    def __init__(self, routes: Routes, otherwise: ASGIApp, rules: Rules) -> None:
        self._routes = routes
        self._otherwise = otherwise
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request (ASGI)."""
        rules: Rules = scope.get("state", {}).get("cpuwatch_rules", self._rules)
        if rules.access_log:
            await log_request(partial(self._guarded, rules), scope, receive, send)
        else:
            await self._guarded(rules, scope, receive, send)

    async def _guarded(self, rules: Rules, scope: Scope, receive: Receive, send: Send) -> None:
        bad_target = None
        try:
            scope = in_origin_form(scope)
        except BadTargetError as error:
            bad_target = problem(400, str(error))
        fields: dict[bytes, bytes] = dict(scope["headers"])
        if rules.cors_origins:
            send = with_cors(send, fields.get(b"origin"), rules.cors_origins)
        started = False

        def watched(message: Message) -> Awaitable[None]:
            nonlocal started
            started = True
            return send(message)

        try:
            endpoint = self._routes.find(scope)
            refusal = bad_target or _refusal(scope, fields, rules, endpoint)
            if announces_body(scope, fields) and (refused := await read_away(fields, receive)) is not None:
                await send_and_hang_up(refused, scope, receive, watched)
            elif refusal is not None:
                await refusal.send(watched, with_body=scope["method"] != "HEAD")
            elif endpoint is not None:
                await endpoint.app(scope, receive, watched)
            else:
                await self._otherwise(scope, receive, watched)
        except Exception:  # noqa: BLE001  the outermost loop of a request: whatever fails, the client hears of it
            crash = _crash(scope)
            # Once something was sent, the server ends the connection, and the client sees that it was cut off.
            if not started:
                await crash.send(send, with_body=scope["method"] != "HEAD")


def _refusal(scope: Scope, fields: Mapping[bytes, bytes], rules: Rules, endpoint: Endpoint | None) -> Answer | None:
    """The answer to a request that breaks a rule, and to the question of a browser what the rules are."""
    if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) >= _LONGEST_URL_BYTES:
        return problem(414, f"the URL is too long: {_LONGEST_URL_BYTES} bytes are the most")
    host = fields.get(b"host")
    if not rules.let_pass_host(host):
        return _misdirected(host)
    if rules.cors_origins:
        answer = preflight(scope["method"], fields, rules.cors_origins)
        if answer is not None:
            return answer
    is_open = endpoint is not None and endpoint.operation.is_open
    if rules.token is not None and not is_open and not rules.token.is_shown_by(fields.get(b"authorization")):
        challenge = [("www-authenticate", _challenge(fields))]
        return problem(401, "this needs a token: Authorization: Bearer TOKEN", challenge)
    return None


def _misdirected(host: bytes | None) -> Answer:
    shown = (host or b"").decode("latin-1")
    return problem(
        421,
        f"this machine does not know itself as {shortened(shown)!r}: ask by its address or name, "
        "or let the operator allow that name (--allowed-hosts, CPUWATCH_ALLOWED_HOSTS)",
    )


def _challenge(fields: Mapping[bytes, bytes]) -> str:
    """RFC 6750, 3: the error stands there only if something was shown."""
    return 'Bearer realm="cpuwatch"' + (', error="invalid_token"' if b"authorization" in fields else "")


def _crash(scope: Scope) -> Answer:
    """The answer for a defect of ours, which is logged under the same id."""
    number = secrets.token_hex(8)
    asked = f"{scope['method']} {target(scope)}"
    _log.exception("no answer to %r, id %s", asked, number, extra={"fields": {"id": number}})
    return problem(500, "cpuwatch failed to answer this; its log says why, under this id", id=number)
