"""Names of users, looked up once for each user id."""

from __future__ import annotations

import os
import pwd

__all__ = ["UserNames"]


class UserNames(dict[int, str]):
    """A lookup with memory: passwd may be LDAP behind a slow line, and is not asked once a second.

    A user who has no name is shown by his number. Raises ``OSError`` if the process has no file descriptor left to
    look with.
    """

    def __missing__(self, uid: int) -> str:
        name = self[uid] = _name(uid)
        return name

    def name_or_number(self, uid: int) -> str:
        """The number too where the user cannot be looked up now: for what cannot be asked for again later."""
        try:
            return self[uid]
        except OSError:
            return str(uid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        # The C library gives the same answer when it could not open the file; that one must not be remembered.
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        return str(uid)
