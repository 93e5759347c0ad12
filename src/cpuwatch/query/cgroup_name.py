"""The familiar name of a cgroup: a systemd unit, a container or a Kubernetes pod. Pure.

The page has the same rules in ``web/static/model/unit_name.js``; ``tests/cgroup_names.json`` tests both.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain
from typing import Literal, cast, get_args

from cpuwatch.container_cgroup import container_of, pod_uid_of

__all__ = ["UnitType", "cgroup_name", "shown_names", "slice_name", "unit_names", "unit_path", "unit_type"]

UnitType = Literal["container", "pod", "slice", "service", "scope", "socket", "mount", "swap", "timer"]

_MAX_CACHED_PATHS = 4096
"""The paths of a machine are the same in each snapshot."""

_UNIT = re.compile(r".+\.(?:service|scope|socket|mount|swap|timer)", re.DOTALL)

_ESCAPES = re.compile(r"(?:\\x[0-9a-f]{2})+")

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Categories of characters that are invisible or reorder the text around them: they stay escaped."""

_SHOWN_ID_DIGITS = 12
"""As in `docker ps`."""

_SHOWN_UID_DIGITS = 8
"""The first part of a UUID."""


def cgroup_name(path: str) -> str:
    r"""``nginx.service`` for ``/system.slice/nginx.service``, ``docker 0123456789ab`` for ``/docker/0123456789ab...``.

    The innermost unit, container or pod of the path counts; a pod is ``pod 01234567``, by its UID. Escapes of systemd
    (``\xc3\xbc``, systemd-escape(1)) are decoded. Any other path is returned unchanged; ``/`` is the root cgroup.
    """
    segments = _unit_segments(path)
    return path if segments is None else _short_name(segments)


@lru_cache(maxsize=_MAX_CACHED_PATHS)
def unit_path(path: str) -> str:
    """The path of the innermost unit, container or pod that contains this cgroup, otherwise the path unchanged.

    A path identifies one unit. A name may be that of several: ``nginx.service`` of the machine and of a container.
    """
    segments = _unit_segments(path)
    return path if segments is None else "/".join(segments)


@lru_cache(maxsize=_MAX_CACHED_PATHS)
def unit_type(path: str) -> UnitType | None:
    """What the last segment of the path stands for; None for a directory that is neither a unit nor a container."""
    segments = path.split("/")
    if container_of(segments) is not None:
        return "container"
    if pod_uid_of(segments) is not None:
        return "pod"
    stem, _, suffix = segments[-1].rpartition(".")
    return cast(UnitType, suffix) if stem and suffix in get_args(UnitType)[2:] else None


def slice_name(path: str) -> str | None:
    """``user-1000.slice`` for ``/user.slice/user-1000.slice``; None unless the path is that of a slice."""
    return _unescaped(path.rpartition("/")[2]) if unit_type(path) == "slice" else None


def unit_names(unit_paths: Iterable[str], preferred: Mapping[str, str] = {}) -> dict[str, str]:
    """The shortest unambiguous name of each of these units.

    It is the ``preferred`` name of the unit, then the name from :func:`cgroup_name`, or, if several units could have
    that name, the shortest unambiguous end of the path: ``user@1000.service/init.scope``. No two units have the same
    name.
    """
    candidates = {path: _candidates(path, preferred.get(path)) for path in set(unit_paths)}
    counts = Counter(chain.from_iterable(candidates.values()))
    return {path: next((name for name in names if counts[name] == 1), path) for path, names in candidates.items()}


def shown_names(paths: Iterable[str]) -> dict[str, str]:
    """Maps each cgroup path to the name of its unit, unambiguous among these paths."""
    units = {path: unit_path(path) for path in paths}
    names = unit_names(units.values())
    return {path: names[unit] for path, unit in units.items()}


def _unit_segments(path: str) -> list[str] | None:
    """The segments of the path up to its innermost unit, container or pod."""
    segments = path.split("/")
    for end in range(len(segments), 1, -1):
        inner = segments[:end]
        if container_of(inner) or _UNIT.fullmatch(inner[-1]) or pod_uid_of(inner):
            return inner
    return None


def _short_name(segments: list[str]) -> str:
    container = container_of(segments)
    if container is not None:
        return f"{container.runtime} {container.id[:_SHOWN_ID_DIGITS]}"
    uid = pod_uid_of(segments)
    return _unescaped(segments[-1]) if uid is None else f"pod {uid[:_SHOWN_UID_DIGITS]}"


def _candidates(path: str, preferred: str | None) -> tuple[str, ...]:
    """The possible names, the best first. The path itself comes last, as it is unique."""
    names = _names_in_path(path)
    return names if preferred is None else tuple(dict.fromkeys((preferred, *names)))


@lru_cache(maxsize=_MAX_CACHED_PATHS)
def _names_in_path(path: str) -> tuple[str, ...]:
    segments = _unit_segments(path)
    if segments is None or "/".join(segments) != path:
        return (path,)
    readable = list(map(_unescaped, segments))
    ends = ("/".join(readable[index:]) for index in range(len(readable) - 1, -1, -1))
    return tuple(dict.fromkeys((_short_name(segments), *ends, path)))


def _unescaped(segment: str) -> str:
    return _ESCAPES.sub(_text_of_escapes, segment)


def _text_of_escapes(match: re.Match[str]) -> str:
    # Bytes that are not UTF-8 stay escaped.
    text = bytes.fromhex(match[0].replace("\\x", "")).decode("utf-8", "backslashreplace")
    return "".join(character if _is_plain(character) else _escaped(character) for character in text)


def _is_plain(character: str) -> bool:
    # A segment with a slash would look like two segments.
    if character == "/":
        return False
    category = unicodedata.category(character)
    return category not in _HIDDEN and (category != "Zs" or character == " ")


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode())
