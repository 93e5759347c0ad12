"""The kernel's messages about ended tasks: generic netlink and struct taskstats, as bytes. Pure.

Documentation/accounting/taskstats.rst and taskstats-struct.rst; include/uapi/linux/{netlink,genetlink,taskstats}.h.
All integers are in the machine's own byte order; attributes are aligned to 4 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.text import text_from_bytes

__all__ = [
    "EndedTask",
    "MessageError",
    "error_number",
    "family_id",
    "family_request",
    "is_about_task",
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

# struct taskstats grows at its end, so what a version has stands at the same place in later ones. (Not in all: version
# 15 put fields between; hence parse_own.) ac_tgid and AGROUP came with version 12 (Linux 5.19); without them an ended
# thread cannot be told from an ended process.
_LOWEST_VERSION = 12
_STATS = struct.Struct("=H6xB55xQ8x32s8xI4xII232xI")
"""version 0, ac_flag 8, cpu_run_real_total 64, ac_comm 80, ac_uid 120, ac_pid 128, ac_ppid 132, ac_tgid 368."""
_AGROUP = 0x20
_REAL_TOTAL = struct.Struct("=64xQ")


class MessageError(ValueError):
    """Not what the kernel's headers say; the text says what was found."""


class EndedTask(Struct, frozen=True, gc=False):
    """A task that has ended, and whether its whole process has (``process_ended``); then ``cpu_ns`` is of all threads.

    ``name`` is that of the thread (``comm``). Each thread may have its own; that of the main thread
    (``pid == process_id``) is the name of the program.

    ``cpu_ns`` is ``cpu_run_real_total``, which the kernel samples in ticks: for one short process a guess, for many a
    true mean. (``cpu_run_virtual_total`` looks finer, but a task that ends between two ticks leaves without what it ran
    since the last one: of a thousand /bin/true it shows a fifth.) ``user_id`` is the real one.
    """

    pid: int
    process_id: int
    parent_pid: int
    name: str
    user_id: int
    cpu_ns: int
    process_ended: bool


def family_request(name: str) -> bytes:
    """Asks for the number of a generic netlink family."""
    attribute = _attribute(_CTRL_ATTR_FAMILY_NAME, name.encode("ascii") + b"\0")
    return _request(_GENL_ID_CTRL, _CTRL_CMD_GETFAMILY, attribute, _NLM_F_REQUEST)


def is_about_task(message: bytes, family: int) -> bool:
    """Whether it is one whole message of this generic netlink family, long enough to have a command."""
    if len(message) < _HEADERS_BYTES:
        return False
    length, kind, *_ = _NLMSG.unpack_from(message)
    return bool(kind == family and _HEADERS_BYTES <= length <= len(message))


def family_id(answer: bytes) -> int:
    """The number in the answer to :func:`family_request`."""
    attributes = dict(_attributes(answer[_HEADERS_BYTES:]))
    try:
        number: int = struct.unpack("=H", attributes[_CTRL_ATTR_FAMILY_ID])[0]
    except (KeyError, struct.error):
        raise MessageError(f"no family id in the answer {answer[:64]!r}") from None
    return number


def listen_request(family: int, cpus: str) -> bytes:
    """Asks for a message about each task that ends on these CPUs (a list like ``0-3,8``); it is acknowledged."""
    attribute = _attribute(_ATTR_REGISTER_CPUMASK, cpus.encode("ascii") + b"\0")
    return _request(family, _CMD_GET, attribute, _NLM_F_REQUEST | _NLM_F_ACK)


def task_request(family: int, pid: int) -> bytes:
    """Asks for the figures of one living task."""
    return _request(family, _CMD_GET, _attribute(_ATTR_PID, struct.pack("=I", pid)), _NLM_F_REQUEST)


def port(message: bytes) -> int:
    """The port whose request this answers; 0 where the kernel was not asked."""
    if len(message) < _NLMSG.size:
        raise MessageError(f"a message of {len(message)} bytes, {_NLMSG.size} are the least")
    number: int = struct.unpack_from("=12xI", message)[0]
    return number


def error_number(answer: bytes) -> int | None:
    """The errno of an acknowledgement, 0 if all is well; None if the message is something else."""
    kind: int = struct.unpack_from("=4xH", answer)[0]
    return -struct.unpack_from("=i", answer, _NLMSG.size)[0] if kind == _NLMSG_ERROR else None


def parse_task(message: bytes) -> EndedTask:
    """The task in a message. Raises :class:`MessageError` if its structure is older or shorter than what is needed."""
    task: EndedTask | None = None
    for kind, aggregate in _attributes(message[_HEADERS_BYTES:]):
        if kind not in {_TYPE_AGGR_PID, _TYPE_AGGR_TGID}:
            continue
        stats = next((data for inner, data in _attributes(aggregate) if inner == _TYPE_STATS), b"")
        if kind == _TYPE_AGGR_PID:
            task = _ended_task(stats)
        elif task is not None:
            # The sum over all threads of the group, there if it had more than one; its other fields are empty.
            _check_size(stats, _REAL_TOTAL)
            task = replace(task, cpu_ns=_REAL_TOTAL.unpack_from(stats)[0])
    if task is None:
        raise MessageError("a message about no task")
    return task


def _ended_task(stats: bytes) -> EndedTask:
    _check_size(stats, _STATS)
    version, flags, cpu_ns, comm, user_id, pid, parent_pid, process_id = _STATS.unpack_from(stats)
    if version < _LOWEST_VERSION:
        raise MessageError(f"struct taskstats has version {version}, {_LOWEST_VERSION} is needed (Linux 5.19)")
    name = text_from_bytes(comm.split(b"\0", 1)[0])
    return EndedTask(pid, process_id, parent_pid, name, user_id, cpu_ns, bool(flags & _AGROUP))


def _check_size(stats: bytes, needed: struct.Struct) -> None:
    if len(stats) < needed.size:
        raise MessageError(f"struct taskstats has {len(stats)} bytes, {needed.size} are needed")


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
            raise MessageError(f"an attribute of {length} bytes, {_ATTRIBUTE.size} is the least")
        yield kind & _TYPE_MASK, data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
