"""Patterns for names: a glob, or with ``re:`` in front a regular expression. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate

from cpuwatch.errors import MissingExtraError, PatternError

__all__ = ["compile_name_pattern"]

_REGEX_PREFIX = "re:"
_LONGEST = 256
_MOST_MEMORY_BYTES = 1 << 20


def compile_name_pattern(pattern: str) -> Callable[[str], bool]:
    """A test for names: ``"py*"`` (the whole name, case matters) or ``"re:^kworker"`` (anywhere in it).

    Regular expressions are RE2's, which take time in proportion of the text whatever the pattern: one that comes over
    the network must not be able to stop the service, as it can with a matcher that goes back (Cox, "Regular Expression
    Matching Can Be Simple And Fast", 2007). Raises :class:`~cpuwatch.errors.PatternError`.
    """
    if len(pattern) > _LONGEST:
        raise PatternError(f"a pattern of {len(pattern)} characters is too long: {_LONGEST} is the most")
    if pattern.startswith(_REGEX_PREFIX):
        return _regex(pattern.removeprefix(_REGEX_PREFIX))
    # A translated glob does not go back over what a star has matched, so it needs no such bound.
    matches = re.compile(translate(pattern)).match
    return lambda name: matches(name) is not None


def _regex(pattern: str) -> Callable[[str], bool]:
    try:
        import re2  # noqa: PLC0415  most never need it, and it loads a megabyte
    except ModuleNotFoundError:
        raise MissingExtraError("patterns with re: need google-re2: pip install 'cpuwatch[web]'") from None
    options = re2.Options()
    options.max_mem = _MOST_MEMORY_BYTES
    options.log_errors = False
    try:
        search = re2.compile(pattern, options).search
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else error.args[0]
        raise PatternError(f"{pattern!r} is no regular expression of RE2: {reason}") from None
    except UnicodeEncodeError:
        raise PatternError(f"{pattern!r} is no regular expression of RE2: a lone surrogate has no UTF-8") from None
    # A lone surrogate, which a third-party backend may let through, has no UTF-8.
    return lambda name: search(name.encode("utf-8", "replace")) is not None
