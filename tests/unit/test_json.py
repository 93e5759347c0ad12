from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError
from msgspec.structs import replace
from readings import HOSTILE_NAMES, SECOND, process, reading, snapshot
from strategies import Pair, broken_texts, pairs, process_rows, snapshots

from cpuwatch import CpuwatchError, ProcessUsage, Snapshot, decode, encode, usage
from cpuwatch.errors import DecodeError
from cpuwatch.text import text_without_surrogates

SCHEMA = Draft202012Validator(msgspec.json.schema(Snapshot))


def parts(value: Any) -> Any:
    """Return what the standard library should decode: structs as objects, times as RFC 3339 text."""
    return msgspec.to_builtins(value)


@given(snapshots())
def test_encoding_round_trips(original: Snapshot) -> None:
    assert decode(encode(original)) == original


@given(pairs())
def test_computed_snapshots_round_trip_to_the_last_digit(pair: Pair) -> None:
    original = usage(pair.earlier, pair.later)
    assert decode(encode(original)) == original


@given(snapshots())
def test_another_decoder_reads_the_same_values(original: Snapshot) -> None:
    decoded = json.loads(encode(original).decode())
    assert decoded == json.loads(json.dumps(parts(original)))
    assert decoded["sequence"] == original.sequence
    assert [row["name"] for row in decoded["processes"]] == [row.name for row in original.processes]
    assert [row["cpu_percent"] for row in decoded["processes"]] == [row.cpu_percent for row in original.processes]


@given(snapshots())
def test_the_json_follows_the_published_schema(original: Snapshot) -> None:
    SCHEMA.validate(json.loads(encode(original)))


@pytest.mark.parametrize(
    "damage",
    [
        lambda it: it.pop("sequence"),
        lambda it: it.update(sequence="1"),
        lambda it: it["host"].pop("boot_id"),
        lambda it: it["processes"][0].update(cpu_percent="50"),
        lambda it: it["processes"][0].pop("key"),
    ],
)
def test_the_schema_and_the_decoder_reject_the_same_damage(damage: Any) -> None:
    tree = json.loads(encode(snapshot((10, SECOND))))
    damage(tree)
    with pytest.raises(ValidationError):
        SCHEMA.validate(tree)
    with pytest.raises(DecodeError):
        decode(json.dumps(tree))


def test_the_documented_field_names_are_on_the_wire() -> None:
    tree = json.loads(encode(snapshot((10, SECOND))))
    assert set(tree) >= {
        *("sequence", "time", "interval_seconds", "sweep_seconds", "host", "machine", "attribution", "processes"),
        "exited",
    }
    assert set(tree["host"]) >= {"name", "boot_id", "logical_cpus", "backend", "clock_resolution_seconds"}
    assert set(tree["machine"]) >= {
        *("cpu_percent", "user_percent", "system_percent", "iowait_percent", "irq_percent", "steal_percent"),
        *("per_cpu_percent", "load_average"),
    }
    assert set(tree["attribution"]) >= {"processes_percent", "exited_percent", "unattributed_percent"}
    assert set(tree["processes"][0]) >= {
        *("pid", "start_time", "key", "ppid", "name", "user", "state", "threads", "cpu_percent", "machine_percent"),
        *("user_percent", "system_percent", "exited_percent", "cpu_seconds", "first_seen"),
    }


def test_times_are_rfc_3339_in_utc_with_microseconds() -> None:
    earlier, later = reading(), reading(at_ns=101 * SECOND + 250_000_000)
    assert json.loads(encode(usage(earlier, later)))["time"] == "2026-01-01T00:01:41.250000Z"


def test_unknown_values_are_null() -> None:
    found = usage(reading(), reading(process(cpu_ns=SECOND), at_ns=101 * SECOND))
    (row,) = json.loads(encode(found))["processes"]
    assert row["cpu_percent"] is None
    assert row["machine_percent"] is None


@given(snapshots(broken_texts))
def test_surrogates_are_never_sent(original: Snapshot) -> None:
    data = encode(original)
    text = data.decode()
    assert r"\ud8" not in text.replace(r"\\", "")
    decoded = decode(data)
    # Only the text changed: numbers, times and structure are the same.
    assert [replace(row, name="", key="", user=None, cgroup=None, command_line=None) for row in decoded.processes] == [
        replace(row, name="", key="", user=None, cgroup=None, command_line=None) for row in original.processes
    ]
    assert [row.command_line for row in decoded.processes] == [
        None if row.command_line is None else text_without_surrogates(row.command_line) for row in original.processes
    ]
    assert [row.cgroup for row in decoded.processes] == [
        None if row.cgroup is None else text_without_surrogates(row.cgroup) for row in original.processes
    ]
    assert replace(decoded.machine, busiest=[]) == replace(original.machine, busiest=[])
    assert [replace(row, name="", cgroup=None) for row in decoded.machine.busiest] == [
        replace(row, name="", cgroup=None) for row in original.machine.busiest
    ]
    assert decoded.attribution == original.attribution


def test_a_surrogate_escape_from_another_library_is_shown_as_a_byte() -> None:
    plain = snapshot((10, SECOND))
    (row,) = plain.processes
    broken = replace(plain, processes=[replace(row, name="caf\udce9")])
    assert decode(encode(broken)).processes[0].name == r"caf\xe9"


def test_failure_reasons_are_sanitized_too() -> None:
    found = usage(reading(), reading(at_ns=101 * SECOND, unreadable={"E\udcff": 1}))
    assert decode(encode(found)).sampling.unreadable == {r"E\xff": 1}


@pytest.mark.parametrize("raw", HOSTILE_NAMES)
def test_another_decoder_reads_hostile_names_unchanged(raw: bytes) -> None:
    name = raw.decode("utf-8", "backslashreplace")
    found = usage(reading(process(name=name)), reading(process(name=name), at_ns=101 * SECOND))
    assert json.loads(encode(found))["processes"][0]["name"] == name


@given(process_rows())
def test_a_part_of_a_snapshot_can_be_encoded_alone(row: ProcessUsage) -> None:
    assert json.loads(encode(row)) == json.loads(json.dumps(parts(row)))


def test_unknown_fields_are_ignored() -> None:
    original = snapshot((10, SECOND))
    tree = json.loads(encode(original))
    tree["weather"] = tree["host"]["weather"] = tree["processes"][0]["weather"] = {"rain": [1, 2, 3]}
    assert decode(json.dumps(tree)) == original


@pytest.mark.parametrize("data", [b"", b"{", b"null", b"[]", b"\xff", b'"\xff"', "{}", b"{}\n{}"])
def test_invalid_snapshots_raise_a_cpuwatch_error(data: bytes | str) -> None:
    with pytest.raises(DecodeError, match="not the JSON of a cpuwatch snapshot"):
        decode(data)
    assert issubclass(DecodeError, CpuwatchError)


def test_invalid_utf_8_raises_the_same_error() -> None:
    data = encode(snapshot((10, SECOND))).replace(b'"work"', b'"w\xffrk"')
    with pytest.raises(DecodeError):
        decode(data)


def test_the_error_names_the_invalid_field() -> None:
    tree = json.loads(encode(snapshot((10, SECOND))))
    tree["processes"][0]["pid"] = "ten"
    with pytest.raises(DecodeError, match=r"processes\[0\]\.pid"):
        decode(json.dumps(tree))


@given(st.binary(max_size=200))
def test_decoding_arbitrary_bytes_raises_only_decode_errors(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)


def test_text_and_bytes_decode_to_the_same_snapshot() -> None:
    original = snapshot((10, SECOND))
    assert decode(encode(original).decode()) == original
