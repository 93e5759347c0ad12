from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from readings import SECOND, snapshot

from cpuwatch.encoding.json import encode_view
from cpuwatch.peers.usage import TOP, PeerUsage, decode_usage, usage_target
from cpuwatch.query.parameters import parse_query_string, view_from
from cpuwatch.query.view import apply_view
from cpuwatch.web.endpoints.cpu_usage import ALL_PROCESSES

RAN = snapshot((1, SECOND // 10), (2, SECOND * 4 // 10), (3, SECOND * 3 // 10), (4, SECOND * 2 // 10))


def answer() -> dict[str, object]:
    """What a service answers to the request that is sent."""
    query = usage_target("").partition("?")[2].encode()
    view = view_from(parse_query_string(query, ALL_PROCESSES.query))
    decoded: dict[str, object] = msgspec.json.decode(encode_view(apply_view(RAN, view), view.fields))
    return decoded


def test_the_answer_of_a_service_has_what_the_page_shows() -> None:
    found = decode_usage(msgspec.json.encode(answer()))
    assert [row.pid for row in found.processes] == [2, 3, 4]
    assert len(found.processes) == TOP
    assert found.processes[0].total_percent == 40.0
    assert found.host.logical_cpus >= 1


def changed(**values: object) -> bytes:
    return msgspec.json.encode(answer() | values)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!doctype html><title>Another program</title>",
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
        changed(time=1),
        changed(machine={"cpu_percent": -1}),
        changed(machine={"cpu_percent": 1e300}),
        changed(machine={"cpu_percent": "<script>"}),
        changed(host={"name": "x" * 1001, "logical_cpus": 1}),
        changed(host={"name": "x", "logical_cpus": 0}),
        changed(host={"name": "x", "logical_cpus": 10**400}),
        changed(processes=[{"pid": 1, "name": "a", "user": "b", "total_percent": 1.0}] * 4),
        changed(processes=[{"pid": 1}]),
    ],
)
def test_another_body_is_an_error_of_one_line(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not an answer of cpuwatch: [^\n]+$"):
        decode_usage(body)


@given(
    st.binary() | st.recursive(st.none() | st.text() | st.floats() | st.integers(), st.lists).map(repr).map(str.encode)
)
def test_any_bytes_are_an_answer_or_a_value_error(body: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(decode_usage(body), PeerUsage)
