"""Kernel messages, packed here according to include/uapi/linux/taskstats.h."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.samplers.procfs.taskstats import (
    ExitedTask,
    MessageError,
    error_number,
    family_id,
    family_request,
    listen_request,
    parse_task,
    port,
    task_request,
)

AGGR_PID, AGGR_TGID, TYPE_PID, TYPE_STATS = 4, 5, 1, 3
AGROUP = 0x20


def stats(
    *, version: int = 16, size: int = 560, flags: int = AGROUP, cpu_ns: int = 7, comm: bytes = b"true", tgid: int = 42
) -> bytes:
    """The structure field by field, at the offsets that offsetof() returns in C."""
    data = bytearray(size)

    def put(offset: int, form: str, *values: object) -> None:
        if offset + struct.calcsize(form) <= size:
            struct.pack_into(form, data, offset, *values)

    put(0, "=H", version)
    put(8, "=B", flags)
    put(64, "=Q", cpu_ns)
    put(72, "=Q", 999)
    put(80, "=32s", comm)
    put(120, "=I", 1000)
    put(128, "=II", 42, 41)
    put(368, "=I", tgid)
    return bytes(data)


def attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def message(*attributes: bytes) -> bytes:
    body = struct.pack("=BBH", 2, 1, 0) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), 31, 0, 0, 0) + body


def aggregate(kind: int, data: bytes) -> bytes:
    return attribute(kind, attribute(TYPE_PID, struct.pack("=I", 42)) + attribute(TYPE_STATS, data))


def test_the_port_distinguishes_replies_from_notifications() -> None:
    assert port(message()) == 0
    # The port of a second socket of a process is "negative".
    for number in (1, 42, 2**32 - 4097):
        assert port(struct.pack("=IHHII", 16, 31, 0, 7, number)) == number


def test_exit_of_a_process_with_one_thread() -> None:
    assert parse_task(message(aggregate(AGGR_PID, stats()))) == ExitedTask(
        pid=42, process_id=42, parent_pid=41, name="true", user_id=1000, cpu_ns=7, process_exited=True
    )


def test_exit_of_a_thread_in_a_living_process() -> None:
    task = parse_task(message(aggregate(AGGR_PID, stats(flags=0, tgid=40))))
    assert (task.process_id, task.process_exited) == (40, False)


def test_the_last_thread_has_the_time_of_all_threads() -> None:
    both = message(aggregate(AGGR_PID, stats(cpu_ns=7)), aggregate(AGGR_TGID, stats(cpu_ns=700, flags=0)))
    task = parse_task(both)
    assert (task.cpu_ns, task.process_exited) == (700, True)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (stats(version=11), "version 11"),
        (stats(size=328), "328 bytes"),
        (b"", "0 bytes"),
    ],
)
def test_an_older_or_shorter_structure_is_refused_with_the_reason(data: bytes, found: str) -> None:
    with pytest.raises(MessageError, match=found):
        parse_task(message(aggregate(AGGR_PID, data)))


def test_a_truncated_sum_over_the_threads_is_refused() -> None:
    with pytest.raises(MessageError, match="50 bytes"):
        parse_task(message(aggregate(AGGR_PID, stats()), aggregate(AGGR_TGID, stats()[:50])))


def test_a_name_ends_at_the_first_nul() -> None:
    assert parse_task(message(aggregate(AGGR_PID, stats(comm=b"a\xff b\0rest")))).name == r"a\xff b"


def test_an_acknowledgement_differs_from_a_reply() -> None:
    ack = struct.pack("=IHHIIi", 36, 2, 0, 1, 0, 0)
    refusal = struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -1)
    assert error_number(ack) == 0
    assert error_number(refusal) == 1
    assert error_number(message()) is None


def test_requests_state_their_length_and_are_aligned() -> None:
    for request in (family_request("TASKSTATS"), listen_request(31, "0-3,8"), task_request(31, 1)):
        (length,) = struct.unpack_from("=I", request)
        assert length == len(request)
        assert length % 4 == 0


def test_the_family_id_is_found_in_the_reply() -> None:
    assert family_id(message(attribute(2, b"TASKSTATS\0"), attribute(1, struct.pack("=H", 31)))) == 31
    with pytest.raises(MessageError):
        family_id(message())


@given(st.binary(max_size=600))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    try:
        parse_task(message(data))
    except MessageError:
        return


@given(st.binary(max_size=600))
def test_any_structure_is_parsed_or_refused(data: bytes) -> None:
    try:
        parse_task(message(aggregate(AGGR_PID, data), aggregate(AGGR_TGID, data[:50])))
    except MessageError:
        return
