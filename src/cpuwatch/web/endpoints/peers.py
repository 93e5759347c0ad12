"""``/peers``: the usage of other machines; ``/machines``: the page that shows them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from starlette.types import Scope

from cpuwatch.encoding.json import encode
from cpuwatch.peers.status import Peers, WatchedPeers
from cpuwatch.web.http.negotiation import choose_coding
from cpuwatch.web.http.request import header_text, headers
from cpuwatch.web.http.response import CODINGS, Answer, FixedContent, coded, problem
from cpuwatch.web.openapi.operation import TEXT, Operation
from cpuwatch.web.state import live

__all__ = ["MACHINES", "OTHER_MACHINES", "PeersEndpoint", "machines"]

OTHER_MACHINES = Operation(
    path="/peers",
    name="peers",
    summary="Other machines: how busy each is, where its time went, its worst processes, and whether it answers.",
    content={"application/json": Peers},
    problems=(404,),
    is_conditional=True,
)
MACHINES = Operation(
    path="/machines",
    name="machines",
    summary="The page of other machines for the browser.",
    content={"text/html": TEXT},
    problems=(404,),
    is_conditional=True,
    is_open=True,
)
_NO_LIST = "no other machines are configured: start cpuwatch with --peers FILE"


class PeersEndpoint:
    """``GET /peers``. A request makes the service ask the machines for the next seconds."""

    def __init__(self) -> None:
        self._made: dict[str, Answer] = {}
        self._made_version: int | None = None

    async def __call__(self, scope: Scope) -> Answer:
        """Return the response."""
        peers = live(scope).peers
        if peers is None:
            return problem(404, _NO_LIST)
        peers.look()
        coding = choose_coding(header_text(scope, b"accept-encoding"), list(CODINGS))
        return self._answer(peers, coding).unless_known(headers(scope).get(b"if-none-match"))

    def _answer(self, peers: WatchedPeers, coding: str) -> Answer:
        """The same for all clients, until something changes."""
        if self._made_version != peers.version:
            self._made_version, self._made = peers.version, {}
        if coding not in self._made:
            body, encoding = coded(encode(peers.shown()), coding)
            fields = [("vary", "accept-encoding"), *encoding]
            tag = f'"{peers.version:x}-{coding}"'
            self._made[coding] = Answer.of(body, "application/json", headers=fields, etag=tag)
        return self._made[coding]


async def machines(scope: Scope) -> Answer:
    """``GET /machines``: the page without data, which its scripts get from ``/peers``."""
    state = live(scope)
    if state.peers is None:
        return problem(404, _NO_LIST)
    if not state.settings.page:
        return problem(404, "the page is disabled (CPUWATCH_PAGE)")
    return _page().answer(scope)


@cache
def _page() -> FixedContent:
    return FixedContent((files("cpuwatch.web") / "machines.html").read_bytes(), "text/html; charset=utf-8")
