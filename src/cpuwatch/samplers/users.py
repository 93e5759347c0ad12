"""Looks up user names in threads, and looks them up again after a while.

The name service may be LDAP over a slow network, may not run yet while the machine boots, and may assign a user ID to
another user later. So no name is kept forever, and no reading waits long for one.
"""

from __future__ import annotations

import os
import pwd
import threading
import time
from collections import deque
from collections.abc import Callable, Collection

from cpuwatch.text import text_from_locale

__all__ = ["UserNames", "look_up"]

NAME_TTL_SECONDS = 120.0
"""Age at which a name is looked up again."""

RETRY_SECONDS = 5.0
"""The same for a user without a name, since the name service may have been down."""

MAX_WAIT_SECONDS = 0.05
"""How long one reading waits for its lookups in total. A lookup in local files takes a tenth of a millisecond."""

_MAX_THREADS = 4
_LOCAL_USERS = "/etc/passwd"


def look_up(user_id: int) -> str | None:
    """The name from the C library, or the number if there is none; None if no descriptor is left for the lookup."""
    try:
        return text_from_locale(pwd.getpwuid(user_id).pw_name)
    except KeyError:
        # The C library gives the same answer if it could not open the file.
        try:
            os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return None
        return str(user_id)


class UserNames(dict[int, str]):
    """Maps user IDs to names. The value is the number if the user has no name, or until the name service answers.

    The first lookup of a user is waited for, within :data:`MAX_WAIT_SECONDS` for each reading and unless an earlier
    lookup still hangs. All others run in the background, and :meth:`refresh` collects their answers. The old name stays
    in use while it is looked up again.

    :meth:`refresh` also checks whether the file ``passwd`` changed, and then looks all names up again.
    """

    def __init__(
        self,
        look_up: Callable[[int], str | None] = look_up,
        passwd: str = _LOCAL_USERS,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._look_up = look_up
        self._passwd = passwd
        self._version = _version(passwd)
        self._seconds = seconds
        self._wait_budget_seconds = MAX_WAIT_SECONDS
        self._expiries: dict[int, float] = {}
        self._changed: set[int] = set()
        self._pending: set[int] = set()
        # The threads use only these two; appending and popping are atomic.
        self._requests: deque[int] = deque()
        self._answers: deque[tuple[int, str | None]] = deque()
        self._threads: list[threading.Thread] = []

    def __missing__(self, user_id: int) -> str:
        self[user_id] = str(user_id)
        self._request(user_id)
        self._start_threads()
        if self._wait_budget_seconds > 0 and self._threads:
            began = time.monotonic()
            self._threads[-1].join(self._wait_budget_seconds)
            self._wait_budget_seconds -= time.monotonic() - began
        self._collect_answers()
        # No caller has seen an earlier name.
        self._changed.discard(user_id)
        return self[user_id]

    def refresh(self, used: Callable[[], Collection[int | None]]) -> set[int]:
        """Collect answers, once in each reading. Returns the user IDs whose names changed since the last call.

        ``used`` returns the user IDs in use. All other names are dropped when they expire.
        """
        self._collect_answers()
        if not any(thread.is_alive() for thread in self._threads):
            self._threads.clear()
            self._pending.intersection_update(self._requests)
            self._wait_budget_seconds = MAX_WAIT_SECONDS
        version = _version(self._passwd)
        if version != self._version:
            self._version = version
            self._expiries = dict.fromkeys(self._expiries, 0.0)
        now = self._seconds()
        if min(self._expiries.values(), default=now + 1) <= now:
            still_used = used()
            for user_id in [user_id for user_id, expiry in self._expiries.items() if expiry <= now]:
                if user_id in still_used:
                    self._request(user_id)
                else:
                    del self[user_id], self._expiries[user_id]
        if self._requests:
            self._start_threads()
        changed, self._changed = self._changed, set()
        return changed

    def close(self) -> None:
        """Start no more lookups. A thread that waits for the name service ends when it gets its answer."""
        self._requests.clear()
        for thread in self._threads:
            thread.join(MAX_WAIT_SECONDS / _MAX_THREADS)

    def _request(self, user_id: int) -> None:
        # Retried even if this is never answered, because a fork does not copy the thread.
        self._expiries[user_id] = self._seconds() + RETRY_SECONDS
        if user_id not in self._pending:
            self._pending.add(user_id)
            self._requests.append(user_id)

    def _start_threads(self) -> None:
        """Start one thread for each request, up to a limit, so that a slow lookup does not delay others."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for _ in range(min(len(self._requests), _MAX_THREADS - len(self._threads))):
            # A daemon thread, so that the program can exit without waiting for the name service.
            thread = threading.Thread(target=self._serve_requests, name="cpuwatch-user-names", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # No thread can be started now. The next reading tries again.
                return
            self._threads.append(thread)

    def _serve_requests(self) -> None:
        while True:
            try:
                user_id = self._requests.popleft()
            except IndexError:
                return
            self._answers.append((user_id, self._look_up(user_id)))

    def _collect_answers(self) -> None:
        while self._answers:
            user_id, name = self._answers.popleft()
            self._pending.discard(user_id)
            if user_id not in self:
                continue
            now = self._seconds()
            if name is None:
                self._expiries[user_id] = now
                continue
            self._expiries[user_id] = now + (RETRY_SECONDS if name == str(user_id) else NAME_TTL_SECONDS)
            if self[user_id] != name:
                self[user_id] = name
                self._changed.add(user_id)


def _version(path: str) -> tuple[int, ...] | None:
    """Changes when the file does, also when another file is mounted or moved over it."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
