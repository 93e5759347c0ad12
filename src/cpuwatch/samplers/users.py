"""Names of users. They are looked up in threads, and again after a while.

The name service may be LDAP behind a slow line, may not be up yet when the machine boots, and may give a user ID that
was free to somebody else. So no name is kept for ever, and no reading waits for one.
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

NAMED_SECONDS = 120.0
"""How long a name is used before it is looked up again."""

NAMELESS_SECONDS = 5.0
"""The same for a user who has no name: the name service may have been down."""

PATIENCE_SECONDS = 0.05
"""How long all lookups of one reading may be waited for. Local files take a tenth of a millisecond."""

_MAX_THREADS = 4
_LOCAL_USERS = "/etc/passwd"


def look_up(user_id: int) -> str | None:
    """The name from the C library, the number if there is none; None if no descriptor is left to look with."""
    try:
        return text_from_locale(pwd.getpwuid(user_id).pw_name)
    except KeyError:
        # The C library gives the same answer when it could not open the file.
        try:
            os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return None
        return str(user_id)


class UserNames(dict[int, str]):
    """The name for each user ID; the number until the name service has answered, and where it knows none.

    The first lookup of a user is waited for as long as :data:`PATIENCE_SECONDS` allow, unless an earlier one is still
    unanswered. All others go on beside the readings; :meth:`refresh` collects what they found. A name stays in use
    while it is looked up again.

    ``passwd`` is looked at in each :meth:`refresh`: once it changed, all names are looked up again.
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
        self._patience_seconds = PATIENCE_SECONDS
        self._expiries: dict[int, float] = {}
        self._changed: set[int] = set()
        self._pending: set[int] = set()
        # The threads use only these two, whose ends are atomic.
        self._questions: deque[int] = deque()
        self._answers: deque[tuple[int, str | None]] = deque()
        self._threads: list[threading.Thread] = []

    def __missing__(self, user_id: int) -> str:
        self[user_id] = str(user_id)
        self._ask(user_id)
        self._start_threads()
        if self._patience_seconds > 0 and self._threads:
            began = time.monotonic()
            self._threads[-1].join(self._patience_seconds)
            self._patience_seconds -= time.monotonic() - began
        self._take_answers()
        # Nobody was told another name before this one.
        self._changed.discard(user_id)
        return self[user_id]

    def refresh(self, used: Callable[[], Collection[int | None]]) -> set[int]:
        """Call this once for each reading. Returns the user IDs whose names changed since the last call.

        ``used`` tells which user IDs are still of interest. The names of all others are forgotten when they expire.
        """
        self._take_answers()
        if not any(thread.is_alive() for thread in self._threads):
            self._threads.clear()
            self._pending.intersection_update(self._questions)
            self._patience_seconds = PATIENCE_SECONDS
        version = _version(self._passwd)
        if version != self._version:
            self._version = version
            self._expiries = dict.fromkeys(self._expiries, 0.0)
        now = self._seconds()
        if min(self._expiries.values(), default=now + 1) <= now:
            still_used = used()
            for user_id in [user_id for user_id, expiry in self._expiries.items() if expiry <= now]:
                if user_id in still_used:
                    self._ask(user_id)
                else:
                    del self[user_id], self._expiries[user_id]
        if self._questions:
            self._start_threads()
        changed, self._changed = self._changed, set()
        return changed

    def close(self) -> None:
        """Look up nothing more. A thread that the name service holds up ends when it has its answer."""
        self._questions.clear()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS / _MAX_THREADS)

    def _ask(self, user_id: int) -> None:
        # Asked again also if this is never answered, because its thread was lost in a fork.
        self._expiries[user_id] = self._seconds() + NAMELESS_SECONDS
        if user_id not in self._pending:
            self._pending.add(user_id)
            self._questions.append(user_id)

    def _start_threads(self) -> None:
        """One for each question, as far as the limit goes: a user whom the service cannot find holds up no other."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for _ in range(min(len(self._questions), _MAX_THREADS - len(self._threads))):
            # A daemon: the end of the program does not wait for the name service.
            thread = threading.Thread(target=self._answer, name="cpuwatch-user-names", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # The machine gives no thread now. The next reading tries again.
                return
            self._threads.append(thread)

    def _answer(self) -> None:
        while True:
            try:
                user_id = self._questions.popleft()
            except IndexError:
                return
            self._answers.append((user_id, self._look_up(user_id)))

    def _take_answers(self) -> None:
        while self._answers:
            user_id, name = self._answers.popleft()
            self._pending.discard(user_id)
            if user_id not in self:
                continue
            now = self._seconds()
            if name is None:
                self._expiries[user_id] = now
                continue
            self._expiries[user_id] = now + (NAMELESS_SECONDS if name == str(user_id) else NAMED_SECONDS)
            if self[user_id] != name:
                self[user_id] = name
                self._changed.add(user_id)


def _version(path: str) -> tuple[int, ...] | None:
    """What differs between two states of a file, also if another one is mounted or moved over it."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
