"""The report of the performance suite, read back with an independent HTML parser."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from math import inf, nan
from typing import Any

import msgspec
import pytest
from html_page import Page
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from synthetic_run import synthetic_run

from benchmarks.loadgen import results as results_module
from benchmarks.loadgen.results import FailureKind, Results
from benchmarks.report.page import render
from benchmarks.report.verdict import verdict

MAX_PAGE_BYTES = 250_000
HOSTILE = (
    "</td><script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</style><style>*{display:none}",
    "</title><h1>PASS</h1>",
    "&lt;b&gt; &amp; &#60;i&#62; &notin;",
    "<!-- ]]> <![CDATA[ <?php ?>",
    "{{7*7}} ${x} %s {0} `",
    "名前 \N{COMBINING ACUTE ACCENT} \N{PILE OF POO}",
)
RUN = synthetic_run(30)
LONG_RUN = synthetic_run(300)


def with_other_texts(results: Results, text: Callable[[int], str]) -> tuple[Results, list[str]]:
    """Replace every text in the run, and return the new texts. No field is named, so none can be forgotten."""
    texts: list[str] = []

    def fresh() -> str:
        texts.append(text(len(texts)))
        return texts[-1]

    def changed(value: Any) -> Any:
        match value:
            case str():
                return fresh()
            case dict():
                return {fresh(): changed(part) for part in value.values()}
            case list():
                return [changed(part) for part in value]
            case msgspec.Struct():
                return replace(value, **{name: changed(getattr(value, name)) for name in value.__struct_fields__})
        return value

    other: Results = changed(results)
    return other, texts


def with_everything() -> Results:
    """Return a run for which every part of the page has content."""
    failures = [FailureKind("reset", 3, ["first", "second"]), FailureKind("JSON", 1, ["third"])]
    assert RUN.fixed_rate is not None
    return replace(
        RUN,
        invalid="client-bound",
        partial=True,
        failures=failures,
        failed_latency=replace(RUN.latency, count=4),
        fixed_rate=replace(RUN.fixed_rate, failures=failures),
        thresholds=[replace(RUN.thresholds[0], passed=False), *RUN.thresholds[1:]],
    )


def is_shown_unescaped(character: str) -> bool:
    """Return whether it is no control character, no surrogate, and does not change the direction of text."""
    bidirectional = unicodedata.bidirectional(character)
    return character in "\t\n" or (
        unicodedata.category(character) not in {"Cc", "Cs", "Cn"}
        and bidirectional not in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
        and character not in "\u200e\u200f\u061c"
    )


@given(st.lists(st.sampled_from(HOSTILE) | st.text(max_size=60), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_any_texts_of_a_run_are_shown_and_leave_the_elements_unchanged(hostile: list[str]) -> None:
    run = with_everything()
    attacked, texts = with_other_texts(run, lambda index: f"({index}:{hostile[index % len(hostile)]})")
    harmless, _ = with_other_texts(run, lambda index: f"({index}:harmless)")

    page = Page(render(attacked))

    assert page.shape == Page(render(harmless)).shape
    for text in texts:
        if all(map(is_shown_unescaped, text)):
            assert text in page.text


@pytest.mark.parametrize("hidden", ["\0", "\x1b[2J", "\r", "\x85", "\udc80", "\u202e", "\u2066", "\uffff"])
def test_invisible_characters_are_escaped(hidden: str) -> None:
    page = render(replace(RUN, url=f"before{hidden}after"))

    assert hidden[0] not in page
    assert "before" + hidden.encode("unicode_escape").decode() + "after" in Page(page).text
    page.encode("utf-8")


def structs() -> Iterator[type[msgspec.Struct]]:
    for name in results_module.__all__:
        found = getattr(results_module, name)
        if isinstance(found, type) and issubclass(found, msgspec.Struct):
            yield found


for struct in structs():
    st.register_type_strategy(
        struct,
        lambda kind: st.builds(
            kind, **{field.name: st.from_type(field.type) for field in msgspec.structs.fields(kind)}
        ),
    )


@given(results=st.from_type(Results))
@settings(max_examples=40, deadline=None)
def test_any_valid_run_has_a_page(results: Results) -> None:
    Page(render(results))


@pytest.mark.parametrize("number", [nan, inf, -inf, 1e308, 5e-324, -1.0, 0])
def test_numbers_that_cannot_be_drawn_are_tolerated(number: float) -> None:
    latency = replace(
        RUN.latency,
        mean_ms=number,
        max_ms=number,
        percentiles_ms=dict.fromkeys(RUN.latency.percentiles_ms, number),
    )
    log = [replace(second, p99_ms=number, server_cpu_percent=number) for second in RUN.seconds_log]
    page = Page(render(replace(RUN, latency=latency, seconds_log=log, requests_per_second=number)))

    for _, attributes in page.tags:
        for name in ("x", "y", "x1", "y1", "cx", "cy", "width", "height", "d"):
            assert not re.search("nan|inf|e[+-]", attributes.get(name) or "")


def test_the_verdict_and_the_three_main_figures_come_first() -> None:
    text = Page(render(LONG_RUN)).text

    places = [
        text.index(part)
        for part in (
            "PASS",
            "Average number of requests per second",
            f"{LONG_RUN.requests_per_second:,.0f}",
            "Average time per response",
            f"{LONG_RUN.latency.mean_ms:,.3f}",
            "Total number of requests over 5 minutes",
            f"{LONG_RUN.requests:,}",
            "failed requests",
            "standard deviation",
        )
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["PASS"]),
        ({"thresholds": [replace(RUN.thresholds[0], passed=False)]}, ["FAIL"]),
        ({"invalid": "client-bound"}, ["INVALID"]),
        ({"partial": True}, ["PARTIAL"]),
        ({"wanted_seconds": 30.0}, ["PASS", "SHORT RUN"]),
        ({"thresholds": []}, ["NOT JUDGED"]),
        (
            {
                "invalid": "why",
                "partial": True,
                "wanted_seconds": 9.0,
                "thresholds": [replace(RUN.thresholds[0], passed=False)],
            },
            ["INVALID", "FAIL", "PARTIAL", "SHORT RUN"],
        ),
    ],
)
def test_the_top_of_the_page_shows_whether_the_run_is_valid(changes: dict[str, Any], words: list[str]) -> None:
    run = replace(LONG_RUN, **changes)

    assert [found.word for found in verdict(run)] == words
    before_the_figures = Page(render(run)).text.partition("Average number")[0]
    for word in ("PASS", "FAIL", "INVALID", "PARTIAL", "SHORT RUN", "NOT JUDGED"):
        assert (word in before_the_figures) is (word in words)


@pytest.mark.parametrize("seconds", [1, 300, 301, 3_600, 86_400])
def test_the_page_is_small_for_runs_of_any_length(seconds: int) -> None:
    run = LONG_RUN if seconds == 300 else synthetic_run(seconds)

    assert len(render(run).encode()) <= MAX_PAGE_BYTES


def test_the_page_is_small_with_any_number_of_failures() -> None:
    failures = [FailureKind(f"kind {i} {'k' * 5_000}", i + 1, ["x" * 10_000] * 50) for i in range(500)]

    page = render(replace(LONG_RUN, failures=failures))

    assert len(page.encode()) <= MAX_PAGE_BYTES
    assert f"{sum(range(21, 501)):,}" in Page(page).text


def test_the_page_needs_no_network_and_no_scripts() -> None:
    page = Page(render(with_everything()))

    assert not {"script", "link", "img", "iframe", "object", "image", "use", "foreignobject"} & {
        t for t, _ in page.tags
    }
    assert not re.search(r"url\(|@import|src:", page.style)
    for _, attributes in page.tags:
        assert not any(name.startswith("on") or name in {"src", "srcset", "style"} for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")


def test_each_chart_has_a_text_alternative_and_a_table_of_its_numbers() -> None:
    page = Page(render(with_everything()))
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    figures_at = [at for at, (tag, _) in enumerate(page.tags) if tag == "figure"]

    assert len(set(names)) == len(names)
    assert len(figures_at) == 4
    for start, end in zip(figures_at, [*figures_at[1:], len(page.tags)], strict=True):
        inside = page.tags[start:end]
        (chart,) = (attributes for tag, attributes in inside if tag == "svg" and attributes.get("role") == "img")
        assert set((chart["aria-labelledby"] or "").split()) <= set(names)
        assert {"figcaption", "title", "desc"} <= {tag for tag, _ in inside}
    behind = [tag for tag, _ in page.tags[figures_at[-1] :]]
    numbers = behind[behind.index("details") : behind.index("section")]
    assert {"summary", "table"} <= set(numbers)
    assert numbers.count("tr") == 1 + len(RUN.seconds_log)


@pytest.mark.parametrize("seconds", [30, 300])
def test_a_line_has_a_point_for_each_second(seconds: int) -> None:
    page = Page(render(synthetic_run(seconds)))
    paths = [attributes["d"] or "" for tag, attributes in page.tags if tag == "path"]
    lines = [path for path in paths if "L" in path]

    assert len(lines) == 8
    for path in lines:
        assert re.fullmatch(rf"M\d+ \d+h0(L\d+ \d+){{{seconds - 1}}}", path)


def test_all_links_have_targets() -> None:
    page = Page(render(RUN))
    names = {attributes.get("id") for _, attributes in page.tags}

    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert len(links) == 8
    assert {(link or "").removeprefix("#") for link in links} <= names


def luminance(colour: str) -> float:
    """Return the relative luminance as defined in WCAG 2."""
    digits = colour if len(colour) == 6 else "".join(digit * 2 for digit in colour)
    parts = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    linear_parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear_parts, strict=True))


def test_all_text_has_enough_contrast_in_both_colour_schemes() -> None:
    style = Page(render(RUN)).style
    blocks = re.findall(r":root \{([^}]*)\}", style)
    assert len(blocks) == 2

    for block in blocks:
        colours = dict(re.findall(r"--([\w-]+): #([0-9a-f]{3,6})", block))

        def contrast(one: str, other: str, known: dict[str, str] = colours) -> float:
            darker, lighter = sorted(luminance(known[name]) for name in (one, other))
            return (lighter + 0.05) / (darker + 0.05)

        for text in ("text", "soft", "pass", "fail", "warn", "a", "b", "c", "d"):
            assert contrast(text, "page") >= 4.5, text
        for text in ("text", "soft"):
            assert contrast(text, "sunk") >= 4.5, text
        for badge in ("pass", "fail", "warn"):
            assert contrast("on-badge", badge) >= 4.5, badge
        assert contrast("bar", "page") >= 3
