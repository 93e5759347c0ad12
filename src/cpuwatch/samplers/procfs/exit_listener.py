"""Listens for the exits of processes (taskstats over generic netlink)."""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
from pathlib import Path

from cpuwatch.errors import SamplerUnavailableError
from cpuwatch.model import ProcessExit
from cpuwatch.samplers.procfs import taskstats
from cpuwatch.samplers.procfs.exit_names import ExitNames, NamedExit
from cpuwatch.samplers.procfs.new_pids import run_empty_thread
from cpuwatch.samplers.users import UserNames

__all__ = ["ExitListener"]

_NETLINK_GENERIC = 16
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_SK_MEMINFO_DROPS = 8
_SK_MEMINFO = struct.Struct("=9I")
_MESSAGE_BYTES = 16_384
_BUFFER_BYTES = 32 << 20
"""Holds 16,000 exits between two readings, since a message takes about 2 KiB of it."""

_MAX_MESSAGES = 100_000
"""Received in one reading; the rest follows in the next."""

_KERNEL_PORT = 0

_log = logging.getLogger("cpuwatch.samplers")


class ExitListener:
    """A socket that queues exits until they are received.

    It needs CAP_NET_ADMIN, the initial user, PID and network namespaces, and Linux 5.19. Raises
    :class:`SamplerUnavailableError` with the reason if it cannot work.
    """

    def __init__(self, users: UserNames) -> None:
        self._users = users
        self._family = 0
        self._names = ExitNames()
        self.unexpected: int = 0
        """The number of messages that are not about an exit, or not from the kernel."""
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_GENERIC)
        except OSError as error:
            raise SamplerUnavailableError(f"no generic netlink: {error.strerror}") from error
        try:
            self._listen()
            self._check_delivery()
            self._socket.setblocking(False)
        except (OSError, taskstats.MessageError) as error:
            self._socket.close()
            raise SamplerUnavailableError(_why(error)) from error

    def _listen(self) -> None:
        self._socket.bind((0, 0))
        self._socket.settimeout(1.0)
        self._socket.send(taskstats.family_request("TASKSTATS"))
        reply = self._reply()
        family = self._family = taskstats.family_id(reply)
        # First check the layout of this kernel's struct taskstats: the PID of this process must be in its place.
        self._socket.send(taskstats.task_request(family, os.getpid()))
        own = taskstats.parse_task(self._reply())
        if (own.pid, own.process_id) != (os.getpid(), os.getpid()):
            raise taskstats.MessageError("struct taskstats of this kernel has another layout")
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        cpus = Path("/sys/devices/system/cpu/possible").read_text("ascii").strip()
        self._socket.send(taskstats.listen_request(family, cpus))
        self._reply()

    def _check_delivery(self) -> None:
        """Raise ``TimeoutError`` if the kernel does not report the exit of a thread that this method starts.

        The kernel accepts the registration in any network namespace, but it sends to the initial one only
        (send_cpu_listeners in kernel/taskstats.c).
        """
        run_empty_thread()
        while not taskstats.belongs_to_family(self._receive_from_kernel(), self._family):
            pass

    def _receive_from_kernel(self) -> bytes:
        """The next message from the kernel. Messages from other processes (netlink(7)) are ignored."""
        while True:
            data, (sender, _) = self._socket.recvfrom(_MESSAGE_BYTES)
            if sender == _KERNEL_PORT:
                return data

    def _reply(self) -> bytes:
        # Exits may arrive before the reply. They may even arrive before the request, if a listener with the same port
        # was closed just now: the kernel only notices that when it next sends to it.
        own_port: int = self._socket.getsockname()[0]
        while taskstats.port(reply := self._receive_from_kernel()) != own_port:
            pass
        number = taskstats.error_number(reply)
        if number:
            raise OSError(number, os.strerror(number))
        return reply

    @property
    def lost(self) -> int:
        """The number of messages lost so far, because they came faster than they were received."""
        counters = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _SK_MEMINFO.size)
        drops: int = _SK_MEMINFO.unpack(counters)[_SK_MEMINFO_DROPS]
        return drops

    def receive(self) -> list[ProcessExit]:
        """Return the processes that exited since the last call."""
        exits: list[ProcessExit] = []
        receive, family, add = self._socket.recvfrom, self._family, self._names.add
        for _ in range(_MAX_MESSAGES):
            try:
                data, (sender, _) = receive(_MESSAGE_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                # The buffer was full and a message was lost; the queued ones are still there.
                if error.errno != errno.ENOBUFS:
                    raise
                continue
            if sender != _KERNEL_PORT or not taskstats.belongs_to_family(data, family):
                self._count_unexpected(f"{data[:64]!r} from port {sender}")
                continue
            try:
                task = taskstats.parse_task(data)
            except taskstats.MessageError as error:
                self._count_unexpected(str(error))
                continue
            exits += map(self._exit, add(task))
        exits += map(self._exit, self._names.expire())
        return exits

    def _exit(self, named: NamedExit) -> ProcessExit:
        task, name = named
        return ProcessExit(task.process_id, task.parent_pid, name, self._users[task.user_id], task.cpu_ns)

    def _count_unexpected(self, what: str) -> None:
        if not self.unexpected:
            _log.warning("unexpected message on the taskstats socket; further ones are counted, not logged: %s", what)
        self.unexpected += 1

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it needs the initial network namespace"
    if isinstance(error, OSError):
        if error.errno == errno.EPERM:
            return "it needs CAP_NET_ADMIN"
        if error.errno == errno.EINVAL:
            return "it needs the initial user and PID namespaces"
        if error.errno == errno.ENOENT:
            return "this kernel has no taskstats"
    return str(error)
