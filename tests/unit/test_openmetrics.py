from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from readings import HOSTILE_NAMES, as_label

from cpuwatch.encoding.openmetrics import Family, Sample, openmetrics_text, prometheus_text

Encoder = Callable[[Iterable[Family]], bytes]
Parser = Callable[[str], Iterable[Metric]]

FORMATS: list[tuple[Encoder, Parser]] = [(openmetrics_text, parse_openmetrics), (prometheus_text, parse_text)]
both_formats = pytest.mark.parametrize(("encode", "parse"), FORMATS, ids=["openmetrics", "text"])

SINCE = datetime(2026, 1, 2, 3, 4, 5, 250_000, UTC)

FAMILIES = [
    Family("a_ratio", "gauge", 'Of "all" \\ and\nmore.', [Sample({}, 0.25)], "ratio"),
    Family(
        "b_seconds",
        "counter",
        "Spent.",
        [Sample({"name": "x", "user": "y"}, 2.5, SINCE), Sample({"name": "z", "user": ""}, 1e-9)],
    ),
    Family("c", "info", "What.", [Sample({"version": "1"}, 1)]),
    Family("d", "gauge", "None.", []),
]

any_text = st.text(st.characters(exclude_categories=()), max_size=20)


def hostile(text: str) -> Family:
    return Family("a", "gauge", "Hostile.", [Sample({"name": text, "after": "this"}, 1.0)])


def test_openmetrics_text_of_the_examples() -> None:
    assert openmetrics_text(FAMILIES).decode().split("\n") == [
        "# TYPE a_ratio gauge",
        "# UNIT a_ratio ratio",
        r"# HELP a_ratio Of \"all\" \\ and\nmore.",
        "a_ratio 0.25",
        "# TYPE b_seconds counter",
        "# HELP b_seconds Spent.",
        'b_seconds_total{name="x",user="y"} 2.5',
        'b_seconds_created{name="x",user="y"} 1767323045.25',
        'b_seconds_total{name="z",user=""} 1e-09',
        "# TYPE c info",
        "# HELP c What.",
        'c_info{version="1"} 1',
        "# EOF",
        "",
    ]


def test_older_text_format_of_the_examples() -> None:
    assert prometheus_text(FAMILIES).decode().split("\n") == [
        r'# HELP a_ratio Of "all" \\ and\nmore.',
        "# TYPE a_ratio gauge",
        "a_ratio 0.25",
        "# HELP b_seconds_total Spent.",
        "# TYPE b_seconds_total counter",
        'b_seconds_total{name="x",user="y"} 2.5',
        'b_seconds_total{name="z",user=""} 1e-09',
        "# HELP c_info What.",
        "# TYPE c_info gauge",
        'c_info{version="1"} 1',
        "",
    ]


@both_formats
def test_a_parser_reads_the_encoded_values(encode: Encoder, parse: Parser) -> None:
    found = {sample.name: sample.value for metric in parse(encode(FAMILIES).decode()) for sample in metric.samples}
    created = {"b_seconds_created": SINCE.timestamp()} if encode is openmetrics_text else {}
    assert found == {"a_ratio": 0.25, "b_seconds_total": 1e-9, "c_info": 1.0} | created


def test_a_parser_reads_kinds_units_and_help_texts() -> None:
    found = {metric.name: metric for metric in parse_openmetrics(openmetrics_text(FAMILIES).decode())}
    assert {name: (metric.type, metric.unit) for name, metric in found.items()} == {
        "a_ratio": ("gauge", "ratio"),
        "b_seconds": ("counter", ""),
        "c": ("info", ""),
    }
    assert found["a_ratio"].documentation == FAMILIES[0].help


@both_formats
@given(text=any_text)
def test_any_text_survives_as_a_label_with_escaped_control_characters(
    encode: Encoder, parse: Parser, text: str
) -> None:
    (metric,) = parse(encode([hostile(text)]).decode())
    assert [sample.labels for sample in metric.samples] == [{"name": as_label(text), "after": "this"}]


@both_formats
@pytest.mark.parametrize("raw", HOSTILE_NAMES)
def test_a_hostile_name_survives(encode: Encoder, parse: Parser, raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    (metric,) = parse(encode([hostile(text)]).decode())
    assert [sample.labels["name"] for sample in metric.samples] == [as_label(text)]


@both_formats
@given(value=st.floats() | st.integers(-(2**53), 2**53))
def test_a_value_survives_to_the_last_bit(encode: Encoder, parse: Parser, value: float) -> None:
    (metric,) = parse(encode([Family("a", "gauge", "A.", [Sample({}, value)])]).decode())
    assert metric.samples[0].value == pytest.approx(value, rel=0, abs=0, nan_ok=True)


@both_formats
def test_names_that_are_equal_once_escaped_are_one_series(encode: Encoder, parse: Parser) -> None:
    duplicates = Family("a", "counter", "A.", [Sample({"name": "\udce9"}, 1.0), Sample({"name": "\\xe9"}, 2.0)])
    (metric,) = parse(encode([duplicates]).decode())
    assert [(sample.labels, sample.value) for sample in metric.samples] == [({"name": "\\xe9"}, 3.0)]


@both_formats
@given(
    texts=st.lists(st.text(st.sampled_from('a\\x1b\x1b\n"\udce9\u202e\x7f\x85'), max_size=6) | any_text, max_size=8),
    kind=st.sampled_from(["counter", "gauge"]),
)
def test_no_series_occurs_twice_and_no_control_character_gets_through(
    encode: Encoder, parse: Parser, texts: list[str], kind: Literal["counter", "gauge"]
) -> None:
    text = encode([Family("a", kind, "A.", [Sample({"name": name}, 1.0, SINCE) for name in texts])]).decode()
    samples = [sample for metric in parse(text) for sample in metric.samples]
    assert max(Counter((sample.name, sample.labels["name"]) for sample in samples).values(), default=1) == 1
    values = [sample.value for sample in samples if not sample.name.endswith("_created")]
    assert sum(values) == len(texts)
    assert not {unicodedata.category(char) for char in text.replace("\n", "")} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_a_series_of_names_that_are_equal_once_escaped_has_the_earliest_start() -> None:
    duplicates = [
        Sample({"name": "\x1b"}, 1.0, SINCE),
        Sample({"name": r"\x1b"}, 2.0),
        Sample({"name": "\x1b"}, 4.0, SINCE),
    ]
    (metric,) = parse_openmetrics(openmetrics_text([Family("a", "counter", "A.", duplicates)]).decode())
    assert [(sample.name, sample.value) for sample in metric.samples] == [
        ("a_total", 7.0),
        ("a_created", SINCE.timestamp()),
    ]
