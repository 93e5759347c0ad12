from __future__ import annotations

import re

from event_stream import Event, EventStream
from hypothesis import given
from hypothesis import strategies as st
from readings import HOSTILE_NAMES, process, reading
from strategies import broken_texts, snapshots

from cpuwatch import Snapshot, decode, usage
from cpuwatch.encoding.json import encode, encode_view
from cpuwatch.encoding.rounded import rounded
from cpuwatch.encoding.sse import KEEP_ALIVE, encode_event, encode_retry, encode_view_event
from cpuwatch.query.view import View, apply_view

texts = st.text(st.characters(exclude_categories=["Cs"])) | st.text("\r\n:a \0data\ufeff")
ids = st.integers(0, 2**63).map(str)


def as_received(text: str) -> str:
    """The text that a client receives: all line ends become line feeds."""
    return re.sub("\r\n|\r", "\n", text)


@given(st.lists(st.tuples(ids, texts), max_size=5), st.booleans())
def test_events_with_any_data_arrive_one_by_one_with_their_ids(events: list[tuple[str, str]], between: bool) -> None:
    stream = EventStream()
    found = stream.feed(encode_retry(1500))
    for event_id, text in events:
        found += stream.feed(encode_event(text.encode(), event_id))
        if between:
            found += stream.feed(KEEP_ALIVE)
    assert found == [Event(event_id, as_received(text)) for event_id, text in events]
    assert stream.retry_ms == 1500
    assert stream.unfinished == b""


@given(texts, st.integers(1, 7))
def test_an_event_can_arrive_in_chunks(text: str, size: int) -> None:
    whole = encode_event(text.encode(), "7")
    stream = EventStream()
    found = [event for at in range(0, len(whole), size) for event in stream.feed(whole[at : at + size])]
    assert found == [Event("7", as_received(text))]


def test_data_that_look_like_another_event_stay_one_event() -> None:
    hostile = "x\n\nid: 9\nevent: close\nretry: 1\ndata: forged\n\n"
    stream = EventStream()
    assert stream.feed(encode_event(hostile.encode(), "3")) == [Event("3", hostile)]
    assert stream.retry_ms is None


def test_a_keep_alive_is_a_comment_and_not_an_event() -> None:
    stream = EventStream()
    assert stream.feed(KEEP_ALIVE) == []
    assert stream.comments == [""]
    assert stream.unfinished == b""


@given(snapshots())
def test_the_data_of_a_snapshot_event_is_its_json(snapshot: Snapshot) -> None:
    shown = apply_view(snapshot, View())
    (event,) = EventStream().feed(encode_view_event(shown))
    assert event == Event(str(snapshot.sequence), encode_view(shown).decode())
    assert decode(event.data) == rounded(shown)


@given(snapshots(broken_texts))
def test_invalid_unicode_does_not_break_the_stream(snapshot: Snapshot) -> None:
    (event,) = EventStream().feed(encode_view_event(snapshot))
    assert decode(event.data).sequence == snapshot.sequence


def test_hostile_names_get_through() -> None:
    names = [raw.decode("utf-8", "backslashreplace") for raw in HOSTILE_NAMES]
    processes = [process(10 + at, name=name) for at, name in enumerate(names)]
    snapshot = usage(reading(*processes), reading(*processes, at_ns=101 * 10**9), sequence=5)
    (event,) = EventStream().feed(encode_view_event(snapshot, ["name"]))
    assert f'"name":{encode(names[7]).decode()}' in event.data
    assert event.data.count('"name":') == len(names) + 1
