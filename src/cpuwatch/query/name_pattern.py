"""Compiles name patterns: a glob, or a regular expression after the prefix ``re:``. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate

from cpuwatch.errors import MissingExtraError, PatternError
from cpuwatch.parse import invalid

__all__ = ["compile_name_pattern"]

_REGEX_PREFIX = "re:"
_MAX_CHARACTERS = 256
_MAX_MEMORY_BYTES = 1 << 20


def compile_name_pattern(pattern: str) -> Callable[[str], bool]:
    """A predicate for names: ``"py*"`` (the whole name, case-sensitive) or ``"re:^kworker"`` (anywhere in the name).

    Regular expressions are those of RE2, which matches any pattern in linear time. With a backtracking
    matcher, a pattern from the network could stall the service (Cox, "Regular Expression Matching Can Be Simple And
    Fast", 2007).
    Raises :class:`~cpuwatch.errors.PatternError`.
    """
    if len(pattern) > _MAX_CHARACTERS:
        raise PatternError(_invalid(pattern, f"{len(pattern)} characters, must be at most {_MAX_CHARACTERS}"))
    if pattern.startswith(_REGEX_PREFIX):
        return _regex(pattern.removeprefix(_REGEX_PREFIX))
    # A translated glob does not backtrack into the match of a star, so it needs no limit.
    matches = re.compile(translate(pattern)).match
    return lambda name: matches(name) is not None


def _regex(pattern: str) -> Callable[[str], bool]:
    try:
        import re2  # noqa: PLC0415  rarely used, and loads a megabyte
    except ModuleNotFoundError:
        raise MissingExtraError("patterns with re: need the extra 'web': install cpuwatch with [web]") from None
    options = re2.Options()
    options.max_mem = _MAX_MEMORY_BYTES
    options.log_errors = False
    try:
        search = re2.compile(pattern, options).search
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else error.args[0]
        raise PatternError(_invalid(pattern, f"not a regular expression that RE2 accepts: {reason}")) from None
    except UnicodeEncodeError:
        raise PatternError(_invalid(pattern, "a lone surrogate cannot be encoded in UTF-8")) from None
    # Names from a third-party sampler may contain lone surrogates, which UTF-8 cannot encode.
    return lambda name: search(name.encode("utf-8", "replace")) is not None


def _invalid(pattern: str, reason: str) -> str:
    return invalid("name pattern", pattern, reason)
