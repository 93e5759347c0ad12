from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch import CpuwatchError
from cpuwatch.errors import SettingsError
from cpuwatch.settings import Settings, parse_history, parse_interval


def test_without_settings_it_samples_each_second_and_keeps_ten_minutes() -> None:
    assert Settings.from_environment({}) == Settings(interval=1.0, history=600, backend="auto")


def test_each_setting_is_taken_from_its_variable() -> None:
    environment = {"CPUWATCH_INTERVAL": "0.5", "CPUWATCH_HISTORY": "10", "CPUWATCH_BACKEND": "psutil"}
    assert Settings.from_environment(environment) == Settings(0.5, 10, "psutil")


def test_what_belongs_to_others_is_left_alone() -> None:
    assert Settings.from_environment({"PATH": "/bin", "WATCH_INTERVAL": "x", "XCPUWATCH_Y": "1"}) == Settings()


@pytest.mark.parametrize("variable", ["CPUWATCH_INTERVALL", "CPUWATCH_", "CPUWATCH_interval", "CPUWATCH_BIND_"])
def test_a_variable_that_there_is_not_stops_the_start_and_lists_those_there_are(variable: str) -> None:
    with pytest.raises(SettingsError, match=rf"{variable}: .*CPUWATCH_INTERVAL, CPUWATCH_HISTORY"):
        Settings.from_environment({variable: "1"})


@pytest.mark.parametrize(
    ("variable", "text", "allowed"),
    [
        ("CPUWATCH_INTERVAL", "0", "from 0.05 to 3600"),
        ("CPUWATCH_INTERVAL", "nan", "from 0.05 to 3600"),
        ("CPUWATCH_INTERVAL", "inf", "from 0.05 to 3600"),
        ("CPUWATCH_INTERVAL", "1 s", "from 0.05 to 3600"),
        ("CPUWATCH_INTERVAL", "", "from 0.05 to 3600"),
        ("CPUWATCH_HISTORY", "0", "from 1 to 86400"),
        ("CPUWATCH_HISTORY", "1.5", "from 1 to 86400"),
        ("CPUWATCH_HISTORY", "-1", "from 1 to 86400"),
        ("CPUWATCH_HISTORY", "٣", "from 1 to 86400"),
        ("CPUWATCH_HISTORY", "86401", "from 1 to 86400"),
        ("CPUWATCH_BACKEND", "", "auto"),
    ],
)
def test_a_bad_value_is_named_with_its_variable_and_what_is_allowed(variable: str, text: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({variable: text})
    message = str(caught.value)
    assert message.startswith(f"{variable}: ")
    assert allowed in message
    assert "\n" not in message
    assert isinstance(caught.value, CpuwatchError)
    assert isinstance(caught.value, ValueError)


@given(st.floats(0.05, 3600))
def test_every_interval_in_the_range_is_taken_as_it_is_written(seconds: float) -> None:
    assert parse_interval(repr(seconds)) == seconds


@given(
    st.floats(max_value=0.05, exclude_max=True) | st.floats(min_value=3600, exclude_min=True) | st.just(float("nan"))
)
def test_no_interval_beyond_the_range_is_taken(seconds: float) -> None:
    with pytest.raises(ValueError, match="no number of seconds"):
        parse_interval(repr(seconds))


@given(st.integers(1, 86_400))
def test_every_history_in_the_range_is_taken(ticks: int) -> None:
    assert parse_history(str(ticks)) == ticks


@given(st.integers(max_value=0) | st.integers(min_value=86_401))
def test_no_history_beyond_the_range_is_taken(ticks: int) -> None:
    with pytest.raises(ValueError, match="no whole number"):
        parse_history(str(ticks))


@given(st.text(), st.sampled_from([parse_interval, parse_history]))
def test_a_text_is_parsed_or_refused_with_a_value_error(text: str, parse: object) -> None:
    assert callable(parse)
    try:
        assert parse(text) > 0
    except ValueError as error:
        assert repr(text) in str(error)  # noqa: PT017  either outcome is right
