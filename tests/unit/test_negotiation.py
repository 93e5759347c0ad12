from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.web.http.negotiation import choose_coding, choose_media_type

OURS = ["application/json", "application/x-ndjson", "text/plain"]
CODINGS = ["zstd", "gzip"]

RFC_9110_12_5_1 = "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5"
"""Its table of weights: text/plain 0.7, text/html 0.3, image/jpeg 0.5."""


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("  ", "application/json"),
        (",", "application/json"),
        (" , ,", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("APPLICATION/JSON", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("text/plain", "text/plain"),
        ("text/*", "text/plain"),
        ("text/*, application/json", "application/json"),
        ("text/plain, */*;q=0.1", "text/plain"),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", "application/json"),
        ("text/plain;q=0.5, application/json;q=0.4", "text/plain"),
        ("text/plain;q=0.5, application/json;q=0.500", "application/json"),
        ("text/plain ; Q=0.5,application/x-ndjson ; q=0.6", "application/x-ndjson"),
        ("*/*, application/json;q=0", "application/x-ndjson"),
        ("*/*, application/*;q=0", "text/plain"),
        ("text/html", None),
        ("application/json;q=0", None),
        ("*/*;q=0", None),
        ("*", None),
        ("json", None),
        ("text/plain;q=nonsense", None),
        ("text/plain;q=nan", None),
        ("text/plain;q=2, application/json;q=0.1", "application/json"),
        ("text/plain;q=-1, application/json;q=0.1", "application/json"),
    ],
)
def test_the_media_type_with_the_highest_weight_is_chosen(accept: str | None, chosen: str | None) -> None:
    assert choose_media_type(accept, OURS) == chosen


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["text/html", "text/plain"], "text/plain"),
        (["text/plain", "image/jpeg"], "text/plain"),
        (["text/html", "image/jpeg"], "image/jpeg"),
        (["image/jpeg", "text/plain"], "text/plain"),
        (["text/html"], "text/html"),
    ],
)
def test_the_weights_match_the_example_of_rfc_9110(offered: list[str], chosen: str) -> None:
    assert choose_media_type(RFC_9110_12_5_1, offered) == chosen


@pytest.mark.parametrize(
    "accept",
    ["text/plain;format=flowed;q=0.2, text/plain;q=0.9", "text/plain;q=0.9, text/plain;format=flowed;q=0.2"],
)
def test_a_range_with_parameters_does_not_override_the_plain_type(accept: str) -> None:
    assert choose_media_type(f"{accept}, application/json;q=0.5", OURS) == "text/plain"


@pytest.mark.parametrize(
    ("accept_encoding", "chosen"),
    [
        (None, "identity"),
        ("", "identity"),
        ("identity", "identity"),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("compress, gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", "gzip"),
        ("*", "zstd"),
        ("*;q=0", "identity"),
        ("*, zstd;q=0", "gzip"),
        ("gzip;q=0.1", "gzip"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0, zstd;q=0, identity;q=0", "identity"),
        ("identity;q=1, gzip;q=0.5", "identity"),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("br", "identity"),
        ("gzip;q=x", "identity"),
        (",", "identity"),
    ],
)
def test_the_content_coding_with_the_highest_weight_is_chosen(accept_encoding: str | None, chosen: str) -> None:
    assert choose_coding(accept_encoding, CODINGS) == chosen


def test_without_available_codings_the_body_is_not_encoded() -> None:
    assert choose_coding("gzip, *", []) == "identity"


headers = st.text(max_size=40) | st.lists(
    st.sampled_from(
        [*OURS, *CODINGS, "*/*", "text/*", "*", ";", ",", "q=", ";q=0", ";q=0.5", ";q=1", ";q=nan", '"', " "]
    ),
    max_size=12,
).map("".join)


@given(headers)
def test_any_header_is_parsed(header: str) -> None:
    assert choose_media_type(header, OURS) in {*OURS, None}
    assert choose_coding(header, CODINGS) in {*CODINGS, "identity"}


weights = st.integers(0, 1000).map(lambda thousandths: f"{thousandths / 1000:.3f}")


@given(st.dictionaries(st.sampled_from(OURS), weights, min_size=1))
def test_no_available_type_has_a_higher_weight_than_the_chosen_one(wanted: dict[str, str]) -> None:
    chosen = choose_media_type(", ".join(f"{name};q={weight}" for name, weight in wanted.items()), OURS)
    highest = max(map(float, wanted.values()))
    if chosen is None:
        assert highest == 0
    else:
        assert float(wanted[chosen]) == highest
