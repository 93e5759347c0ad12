from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from benchmarks.loadgen import plan
from benchmarks.loadgen.plan import Address, Plan


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://127.0.0.1:8845", Address("127.0.0.1", 8845, "/cpu_usage")),
        ("http://localhost/", Address("localhost", 80, "/cpu_usage")),
        ("http://[::1]:1/cpu_usage?top=3", Address("::1", 1, "/cpu_usage?top=3")),
    ],
)
def test_a_local_url_is_accepted(text: str, expected: Address) -> None:
    assert plan.address(text) == expected
    assert plan.address(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:8845",
        "https://127.0.0.1",
        "http://",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:x",
        "http://192.0.2.1/",
        "http://example.org/",
        "http://user@127.0.0.1/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nX: y",
        "http://127.0.0.1/ä",
    ],
)
def test_any_other_url_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        plan.address(text)


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "0.5", "-3", "86401"])
def test_a_duration_is_at_most_a_day(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is not a number of seconds from 1 to 86400"):
        plan.seconds(1)(text)


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "65536", "1.5", "²"])
def test_a_port_is_an_integer(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is not an integer from 1 to 65535"):
        plan.port(text)


@pytest.mark.parametrize("text", ["uvicorn cpuwatch.web:app", "", "serve '{port}"])
def test_a_command_must_have_a_placeholder_for_its_port(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        plan.command(text)


def test_a_valid_command_is_unchanged() -> None:
    assert plan.command("serve --bind [::1]:{port}") == "serve --bind [::1]:{port}"


@pytest.mark.parametrize(("duration", "expected"), [(10.0, 2.0), (300.0, 60.0), (3_600.0, 60.0)])
def test_the_fixed_rate_phase_takes_a_fifth_but_at_most_a_minute(duration: float, expected: float) -> None:
    assert Plan(duration_seconds=duration).seconds_at_fixed_rate == expected
    assert Plan(duration_seconds=duration, fixed_rate_seconds=0.0).seconds_at_fixed_rate == 0
