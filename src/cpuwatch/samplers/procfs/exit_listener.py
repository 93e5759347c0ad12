"""Listens to what the kernel says of each process that ends (taskstats over generic netlink)."""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from cpuwatch.errors import SamplerUnavailableError
from cpuwatch.model import ProcessExit
from cpuwatch.samplers.procfs import taskstats as message
from cpuwatch.samplers.procfs.brief_thread import run_brief_thread
from cpuwatch.samplers.procfs.exit_names import ExitNames
from cpuwatch.samplers.procfs.taskstats import EndedTask
from cpuwatch.samplers.users import UserNames

__all__ = ["ExitListener"]

_NETLINK_GENERIC = 16
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_SK_MEMINFO_DROPS = 8
_SK_MEMINFO = struct.Struct("=9I")
_MESSAGE_BYTES = 16_384
_BUFFER_BYTES = 32 << 20
"""Room for what ends between two readings: a message takes some 2 KiB of it, so this is 16,000 processes."""

_MAX_MESSAGES = 100_000
"""At one reading; what is above this comes with the next."""

_KERNEL_PORT = 0

_log = logging.getLogger("cpuwatch.samplers")


class ExitListener:
    """A socket that gathers the processes which ended, until they are taken.

    It needs CAP_NET_ADMIN in the first user, PID and network namespace, and Linux 5.19. Raises
    :class:`SamplerUnavailableError` with the reason where it cannot work.
    """

    def __init__(self, users: UserNames) -> None:
        self._users = users
        self._family = 0
        self._names = ExitNames()
        self.unexpected = 0
        """How many messages came that are not about an ended task, or not from the kernel."""
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_GENERIC)
        except OSError as error:
            raise SamplerUnavailableError(f"no generic netlink: {error.strerror}") from error
        try:
            self._listen()
            self._hear_one()
            self._socket.setblocking(False)
        except (OSError, message.MessageError) as error:
            self._socket.close()
            raise SamplerUnavailableError(_why(error)) from error

    def _listen(self) -> None:
        self._socket.bind((0, 0))
        self._socket.settimeout(1.0)
        self._socket.send(message.family_request("TASKSTATS"))
        answer = self._answer()
        family = self._family = message.family_id(answer)
        # Before all others: is struct taskstats of this kernel what we take it for? Our own name and PID must be there.
        self._socket.send(message.task_request(family, os.getpid()))
        own = message.parse_task(self._answer())
        if (own.pid, own.process_id) != (os.getpid(), os.getpid()):
            raise message.MessageError("struct taskstats of this kernel has another layout")
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        cpus = Path("/sys/devices/system/cpu/possible").read_text("ascii").strip()
        self._socket.send(message.listen_request(family, cpus))
        self._answer()

    def _hear_one(self) -> None:
        """Raise ``TimeoutError`` if the end of a task is not told here.

        In any network namespace the kernel takes on who wants to listen, but it speaks to the first one only
        (send_cpu_listeners in kernel/taskstats.c). So a task is made to end.
        """
        run_brief_thread()
        while not message.is_about_task(self._from_kernel(), self._family):
            pass

    def _from_kernel(self) -> bytes:
        """The next message of the kernel. Others may send to this socket too; they are passed over (netlink(7))."""
        while True:
            data, (sender, _) = self._socket.recvfrom(_MESSAGE_BYTES)
            if sender == _KERNEL_PORT:
                return data

    def _answer(self) -> bytes:
        # Processes may end before an answer is here; and before we have asked, if a socket that listened had our port
        # just now: the kernel notices that it is closed when it next has something to say to it.
        own_port: int = self._socket.getsockname()[0]
        while message.port(answer := self._from_kernel()) != own_port:
            pass
        number = message.error_number(answer)
        if number:
            raise OSError(number, os.strerror(number))
        return answer

    @property
    def lost(self) -> int:
        """How many messages were lost so far because they came faster than they were taken."""
        counters = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _SK_MEMINFO.size)
        drops: int = _SK_MEMINFO.unpack(counters)[_SK_MEMINFO_DROPS]
        return drops

    def take(self) -> list[ProcessExit]:
        """The processes that ended since the last call."""
        exits = [self._exit(*named) for task in self._messages() for named in self._names.hear(task)]
        exits += [self._exit(*named) for named in self._names.overdue()]
        return exits

    def _exit(self, task: EndedTask, name: str | None) -> ProcessExit:
        return ProcessExit(task.process_id, task.parent_pid, name, self._users[task.user_id], task.cpu_ns)

    def _messages(self) -> Iterator[EndedTask]:
        receive = self._socket.recvfrom
        for _ in range(_MAX_MESSAGES):
            try:
                data, (sender, _) = receive(_MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                # The kernel had no room for a message; those that it had room for are still there.
                if error.errno != errno.ENOBUFS:
                    raise
                continue
            if sender != _KERNEL_PORT or not message.is_about_task(data, self._family):
                self._count_unexpected(f"{data[:64]!r} from port {sender}")
                continue
            try:
                yield message.parse_task(data)
            except message.MessageError as error:
                self._count_unexpected(str(error))

    def _count_unexpected(self, what: str) -> None:
        if not self.unexpected:
            _log.warning("unexpected message at the taskstats socket, later ones are only counted: %s", what)
        self.unexpected += 1

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it needs the first network namespace"
    if isinstance(error, OSError):
        if error.errno == errno.EPERM:
            return "it needs CAP_NET_ADMIN"
        if error.errno == errno.EINVAL:
            return "it needs the first user and PID namespace"
        if error.errno == errno.ENOENT:
            return "this kernel has no taskstats"
    return str(error)
