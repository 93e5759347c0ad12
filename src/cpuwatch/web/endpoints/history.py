"""``/cpu_usage/history``: a view of the last snapshots."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import takewhile
from typing import Annotated, Any

import msgspec
from starlette.types import Receive, Scope, Send

from cpuwatch.encoding.json import encode, encode_view
from cpuwatch.history import SnapshotStore
from cpuwatch.model import Snapshot
from cpuwatch.query.parameters import HISTORY, VIEW, parse_query_string, view_from
from cpuwatch.query.view import View, apply_view
from cpuwatch.tick_id import TickId
from cpuwatch.web.access.limits import Places, client_of
from cpuwatch.web.http.negotiation import choose_coding
from cpuwatch.web.http.request import header_text, headers
from cpuwatch.web.http.response import CODINGS, Answer, Endpoint, coded, no_snapshot_yet, problem
from cpuwatch.web.openapi.operation import SHOWN, Operation
from cpuwatch.web.response_cache import etag_of
from cpuwatch.web.state import live

__all__ = ["HISTORY_PARAMETERS", "PAST", "History", "HistoryPage"]

HISTORY_PARAMETERS = {**HISTORY, **VIEW}

_BEGINNINGS = HISTORY.keys() - {"to"}
_MAX_BYTES = 4 << 20
_MAX_AT_ONCE = 16
_MAX_SECONDS = 60.0
_MAX_READING_SECONDS = 2.0
"""A body is cut short after this time: a filter may match little in weeks of recorded snapshots."""


class HistoryPage(msgspec.Struct, frozen=True):
    """The body: snapshots, oldest first, each as ``/cpu_usage`` shows it.

    The service has those from ``oldest_sequence`` to ``newest_sequence`` of this ``run``. A body has at most
    ``max_bytes`` of snapshots, or a single one. If there are more, ``next_since`` is the ``since`` of the next page;
    otherwise it is null.
    """

    interval_seconds: float
    run: str
    oldest_sequence: int
    newest_sequence: int
    max_bytes: int
    next_since: str | None
    snapshots: Sequence[Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema=SHOWN)]]


PAST = Operation(
    path="/cpu_usage/history",
    name="history",
    summary="Past snapshots, oldest first; requires one of seconds, since and from.",
    content={"application/json": HistoryPage},
    problems=(429, 503),
    query=HISTORY_PARAMETERS,
    is_conditional=True,
)


class History:
    """``GET /cpu_usage/history``: the snapshots of the last ``seconds``, or all ``since`` a tick or a time.

    Bodies are made one at a time, in a thread; those of concurrent requests take at most 64 MiB together. A client must
    read its response within a minute, so that slow readers do not occupy all places.
    """

    def __init__(self) -> None:
        self._resource = Endpoint(self._answer)
        self._places = Places(_MAX_AT_ONCE, "requests for history under way")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request (ASGI)."""
        client = client_of(scope, live(scope).settings.proxies)
        refusal = self._places.refusal(client)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        with self._places.taken(client), suppress(TimeoutError):
            async with asyncio.timeout(_MAX_SECONDS):
                await self._resource(scope, receive, send)

    async def _answer(self, scope: Scope) -> Answer:
        state = live(scope)
        asked = parse_query_string(scope["query_string"], HISTORY_PARAMETERS)
        view = view_from(asked)
        if len(asked.keys() & _BEGINNINGS) != 1:
            return problem(400, "one of seconds, since and from is needed: how much of the past, or from where on")
        newest = state.cache.snapshot
        if newest is None:
            return no_snapshot_yet()
        coding = choose_coding(header_text(scope, b"accept-encoding"), list(CODINGS))
        vary = ("vary", "accept-encoding")
        # The newest snapshot determines the oldest kept one, so its tag identifies the whole history.
        etag = etag_of(newest, (asked, coding))
        tagged = Answer.of(b"", "application/json", headers=[vary], etag=etag)
        known = tagged.unless_known(headers(scope).get(b"if-none-match"))
        if known.status == 304:
            return known
        encoded = partial(_encode, state.past, newest, asked, view, state.source.interval_seconds)
        body, said = await state.cache.read_past(lambda: coded(encoded(), coding))
        return Answer.of(body, "application/json", headers=[vary, *said], etag=etag)


def _chosen(store: SnapshotStore, newest: Snapshot, asked: Mapping[str, Any]) -> Iterator[Snapshot]:
    end: datetime | None = asked.get("to")
    match asked.get("since", asked.get("from")):
        case TickId(run, sequence):
            # A sequence without a run refers to the current run: a person typed it.
            chosen = store.after(TickId(run or newest.sampling.run, sequence))
        case datetime() as instant:
            return store.between(instant, end)
        case _:
            chosen = store.last(asked["seconds"])
    return chosen if end is None else filter(lambda snapshot: snapshot.time <= end, chosen)


def _encode(
    store: SnapshotStore, newest: Snapshot, asked: Mapping[str, Any], view: View, interval_seconds: float
) -> bytes:
    run = newest.sampling.run
    oldest = next(store.after(TickId(run or None, 0)), newest)
    chosen: Iterable[Snapshot]
    if oldest.sequence > newest.sequence:
        # A very short history may have dropped it meanwhile. A duplicate is better than a gap.
        oldest, chosen = newest, [newest]
    else:
        # The store may have a newer one that is not published yet.
        chosen = takewhile(
            lambda snapshot: snapshot.sampling.run != run or snapshot.sequence <= newest.sequence,
            _chosen(store, newest, asked),
        )
    parts: list[msgspec.Raw] = []
    room = _MAX_BYTES
    last: Snapshot | None = None
    next_since: str | None = None
    deadline = time.monotonic() + _MAX_READING_SECONDS
    for snapshot in chosen:
        part = encode_view(apply_view(snapshot, view), view.fields)
        room -= len(part)
        if last is not None and (room < 0 or time.monotonic() > deadline):
            next_since = str(TickId.of(last))
            break
        parts.append(msgspec.Raw(part))
        last = snapshot
    return encode(
        HistoryPage(
            interval_seconds=interval_seconds,
            run=run,
            oldest_sequence=oldest.sequence,
            newest_sequence=newest.sequence,
            max_bytes=_MAX_BYTES,
            next_since=next_since,
            snapshots=parts,
        )
    )
