"""Encodes and decodes taskstats messages: generic netlink, and struct taskstats for exited tasks. Pure.

Documentation/accounting/taskstats.rst and taskstats-struct.rst; include/uapi/linux/{netlink,genetlink,taskstats}.h.
Integers are in native byte order, and attributes are aligned to 4 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.text import text_from_bytes

__all__ = [
    "ExitedTask",
    "MessageError",
    "belongs_to_family",
    "error_number",
    "family_id",
    "family_request",
    "listen_request",
    "parse_task",
    "port",
    "task_request",
]

_NLMSG = struct.Struct("=IHHII")
_GENL = struct.Struct("=BBH")
_ATTRIBUTE = struct.Struct("=HH")
_HEADERS_BYTES = _NLMSG.size + _GENL.size
_TYPE_MASK = 0x3FFF
_NLM_F_REQUEST = 1
_NLM_F_ACK = 4
_NLMSG_ERROR = 2

_GENL_ID_CTRL = 16
_CTRL_CMD_GETFAMILY = 3
_CTRL_ATTR_FAMILY_ID = 1
_CTRL_ATTR_FAMILY_NAME = 2

_CMD_GET = 1
_ATTR_PID = 1
_ATTR_REGISTER_CPUMASK = 3
_TYPE_STATS = 3
_TYPE_AGGR_PID = 4
_TYPE_AGGR_TGID = 5

# struct taskstats grows at its end, so fields keep their offsets in later versions. (Version 15 broke that rule, so
# ExitListener checks the layout with its own process.) ac_tgid and AGROUP came with version 12 (Linux 5.19). Without
# them an exited thread looks like an exited process.
_MIN_VERSION = 12
_STATS = struct.Struct("=H6xB55xQ8x32s8xI4xII232xI")
"""Offsets: version 0, flag 8, cpu_run_real_total 64, comm 80, uid 120, pid 128, ppid 132, tgid 368."""
_AGROUP = 0x20
_REAL_TOTAL = struct.Struct("=64xQ")


class MessageError(ValueError):
    """The message does not have the format of the kernel's headers."""


class ExitedTask(Struct, frozen=True, gc=False):
    """An exited task. If its whole process has exited (``process_exited``), ``cpu_ns`` is the sum over all threads.

    ``name`` is the name of the thread (``comm``). Threads can have different names; that of the main thread
    (``pid == process_id``) is the name of the program.

    ``cpu_ns`` is ``cpu_run_real_total``, which the kernel samples in ticks: it is inaccurate for one short process, but
    correct on average. (``cpu_run_virtual_total`` looks more precise, but lacks what a task ran since its last tick: of
    a thousand /bin/true it shows a fifth.) ``user_id`` is the real user ID.
    """

    pid: int
    process_id: int
    parent_pid: int
    name: str
    user_id: int
    cpu_ns: int
    process_exited: bool


def family_request(name: str) -> bytes:
    """A request for the ID of a generic netlink family."""
    attribute = _attribute(_CTRL_ATTR_FAMILY_NAME, name.encode("ascii") + b"\0")
    return _request(_GENL_ID_CTRL, _CTRL_CMD_GETFAMILY, attribute, _NLM_F_REQUEST)


def belongs_to_family(message: bytes, family: int) -> bool:
    """Whether this is one complete message of this generic netlink family."""
    if len(message) < _HEADERS_BYTES:
        return False
    length, kind, *_ = _NLMSG.unpack_from(message)
    return bool(kind == family and _HEADERS_BYTES <= length <= len(message))


def family_id(reply: bytes) -> int:
    """The family ID in the reply to :func:`family_request`."""
    attributes = dict(_attributes(reply[_HEADERS_BYTES:]))
    try:
        number: int = struct.unpack("=H", attributes[_CTRL_ATTR_FAMILY_ID])[0]
    except (KeyError, struct.error):
        raise MessageError(f"the reply has no family ID: {reply[:64]!r}") from None
    return number


def listen_request(family: int, cpus: str) -> bytes:
    """A request, acknowledged, for messages about tasks that exit on these CPUs (a list like ``0-3,8``)."""
    attribute = _attribute(_ATTR_REGISTER_CPUMASK, cpus.encode("ascii") + b"\0")
    return _request(family, _CMD_GET, attribute, _NLM_F_REQUEST | _NLM_F_ACK)


def task_request(family: int, pid: int) -> bytes:
    """A request for the statistics of one living task."""
    return _request(family, _CMD_GET, _attribute(_ATTR_PID, struct.pack("=I", pid)), _NLM_F_REQUEST)


def port(message: bytes) -> int:
    """The port of the request that this message replies to; 0 for messages without a request."""
    if len(message) < _NLMSG.size:
        raise MessageError(f"the message has {len(message)} bytes, fewer than its header of {_NLMSG.size}")
    number: int = struct.unpack_from("=12xI", message)[0]
    return number


def error_number(reply: bytes) -> int | None:
    """The errno of an acknowledgement, 0 for success; None if the message is not an acknowledgement."""
    kind: int = struct.unpack_from("=4xH", reply)[0]
    return -struct.unpack_from("=i", reply, _NLMSG.size)[0] if kind == _NLMSG_ERROR else None


def parse_task(message: bytes) -> ExitedTask:
    """The task in a message. Raises :class:`MessageError` if its struct taskstats is too old or too short."""
    task: ExitedTask | None = None
    for kind, aggregate in _attributes(message[_HEADERS_BYTES:]):
        if kind not in {_TYPE_AGGR_PID, _TYPE_AGGR_TGID}:
            continue
        stats = next((data for inner, data in _attributes(aggregate) if inner == _TYPE_STATS), b"")
        if kind == _TYPE_AGGR_PID:
            task = _exited_task(stats)
        elif task is not None:
            # The sum over all threads, sent only if there was more than one. Its other fields are empty.
            _check_size(stats, _REAL_TOTAL)
            task = replace(task, cpu_ns=_REAL_TOTAL.unpack_from(stats)[0])
    if task is None:
        raise MessageError("the message has no task")
    return task


def _exited_task(stats: bytes) -> ExitedTask:
    _check_size(stats, _STATS)
    version, flags, cpu_ns, comm, user_id, pid, parent_pid, process_id = _STATS.unpack_from(stats)
    if version < _MIN_VERSION:
        raise MessageError(f"struct taskstats has version {version}: at least {_MIN_VERSION} is needed (Linux 5.19)")
    name = text_from_bytes(comm.split(b"\0", 1)[0])
    return ExitedTask(pid, process_id, parent_pid, name, user_id, cpu_ns, bool(flags & _AGROUP))


def _check_size(stats: bytes, needed: struct.Struct) -> None:
    if len(stats) < needed.size:
        raise MessageError(f"struct taskstats has {len(stats)} bytes: at least {needed.size} are needed")


def _request(family: int, command: int, attribute: bytes, flags: int) -> bytes:
    payload = _GENL.pack(command, 1, 0) + attribute
    return _NLMSG.pack(_NLMSG.size + len(payload), family, flags, 1, 0) + payload


def _attribute(kind: int, data: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(data)
    return _ATTRIBUTE.pack(length, kind) + data + b"\0" * (-length % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            raise MessageError(f"the attribute has {length} bytes, fewer than its header of {_ATTRIBUTE.size}")
        yield kind & _TYPE_MASK, data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
