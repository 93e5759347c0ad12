"""Masks secrets in command lines. Pure.

Every user of the machine can read ``/proc/PID/cmdline`` (proc_pid_cmdline(5)), but not everyone who can reach an HTTP
port. Anything that looks like a secret is masked completely, and in doubt too much is masked. It is unknown how every
program takes its secrets, so masking reduces the risk of showing command lines and does not remove it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

__all__ = ["MASK", "masked_command_line"]

MASK = "***"
_MAX_CHARACTERS = 1024
_MAX_NESTING = 6
"""Commands nested deeper than this are masked completely."""

_WORD = (
    r"pass(?:w(?:or)?d|phrase|code|in|out)?(?![a-z])|pwd|passw|secret|token|api[-_.]?key|(?:access|account|auth|private|"
    r"encryption|signing|license|master)[-_.]?key|credential|creds|auth(?![a-z])|authorization|bearer|cookie|"
    r"session[-_.]?(?:id|key)|signature|(?<![a-z])sig(?![a-z])|salt(?![a-z])|(?<![a-z])pin(?![a-z])"
)
_UNANCHORED_NAME = rf"[\w.-]*?(?:{_WORD})[\w.-]*+"
_NAME = rf"(?<![\w.-]){_UNANCHORED_NAME}"
"""A name that contains such a word. It is tried once for each word of the text, so the cost is linear in its length."""

_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
_ASSIGNMENT = re.compile(rf"({_NAME}[\"']?(?:=|:(?!//)))(\s*)(.*)", re.IGNORECASE | re.DOTALL)
_SCHEME_AND_SECRET = re.compile(r"\b(bearer|basic|digest)(\s+)\S+", re.IGNORECASE)
_USER_INFO = re.compile(r"(://[^\s/?#:@]*:)(?:[^\s@]*+@)++")
_LONG_USER = re.compile(r"(://)[^\s/?#:@]{20,}+@")
_QUERY_PARAMETER = re.compile(rf"([?&;#]{_UNANCHORED_NAME}=)[^&;#\s]*+", re.IGNORECASE)
_KNOWN_TOKEN = re.compile(
    r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|sk-|AKIA|ASIA|AIza|eyJ[\w-]{8,}\.)[\w.-]{12,}+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*",
    re.DOTALL,
)
_PARTS = re.compile(r"\s+|(?:'[^']*+(?:'|\Z)|\"[^\"]*+(?:\"|\Z)|[^\s'\"])+")
"""Words and the blanks between them. A word includes quoted blanks; an unclosed quote extends to the end."""

_ATTACHED_OPTIONS = {
    "mysql": "p",
    "mariadb": "p",
    "sshpass": "p",
    "smbclient": "U",
    "rpcclient": "U",
    "7z": "p",
    "unzip": "P",
}
_SEPARATE_OPTIONS = {
    "sshpass": "p",
    "curl": "uU",
    "redis-cli": "a",
    "ldapsearch": "w",
    "ldapmodify": "w",
    "ldapadd": "w",
    "mongo": "p",
    "mongosh": "p",
    "mongodump": "p",
    "docker": "p",
    "podman": "p",
    "smbclient": "U",
    "rpcclient": "U",
    "zip": "P",
    "unzip": "P",
    "snmpwalk": "cAX",
    "snmpget": "cAX",
}
"""Short options whose value is a secret, as ``-pX`` and as ``-p X``, by the start of the program's name."""


def masked_command_line(arguments: Sequence[str]) -> str:
    """Join the arguments with spaces, mask secrets as ``***``, and truncate the line to 1,024 characters.

    Empty arguments at the end are dropped: a program that overwrites its arguments with a title fills up with zeros.

    Masked are the values of options, variables and fields with a name like ``password`` or ``token`` (``--token X``,
    ``--token=X``, ``TOKEN=X``, ``"token": "X"``, ``Authorization: Bearer X``, ``?token=X``), passwords in URLs, short
    password options of well-known programs (``mysql -pX``), and well-known kinds of tokens. The same applies within an
    argument that is itself a command (``sh -c``).
    """
    count = len(arguments)
    while count and not arguments[count - 1]:
        count -= 1
    kept, is_whole = _truncated(arguments[:count])
    line = " ".join(_masked(kept, _MAX_NESTING))
    return line if is_whole and len(line) <= _MAX_CHARACTERS else f"{line[:_MAX_CHARACTERS]}..."


def _truncated(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """The arguments that fit into the limit, and whether these are all.

    An argument that does not fit is cut between words, since the end of a word can mark a secret
    (``://user:secret@host``).
    """
    kept: list[str] = []
    room = _MAX_CHARACTERS
    for argument in arguments:
        if len(argument) > room:
            words, blank, _ = argument[:room].rpartition(" ")
            return [*kept, words] if blank else kept, False
        kept.append(argument)
        room -= len(argument) + 1
    return kept, True


def _masked(arguments: Sequence[str], levels: int) -> Iterator[str]:
    attached: set[str] = set()
    separate: set[str] = set()
    is_secret = False
    for argument in arguments:
        program = argument.rpartition("/")[2]
        if is_secret and not _precedes_secret(argument):
            is_secret = False
            yield MASK
            continue
        attached.update(*(letters for name, letters in _ATTACHED_OPTIONS.items() if program.startswith(name)))
        separate.update(*(letters for name, letters in _SEPARATE_OPTIONS.items() if program.startswith(name)))
        is_option = len(argument) > 1 and argument[0] == "-" and argument[1] != "-"
        if is_option and len(argument) > 2 and argument[1] in attached | separate:
            yield argument[:2] + MASK
            continue
        is_secret = _precedes_secret(argument) or (is_option and argument[1] in separate and len(argument) == 2)
        yield argument if is_secret else _masked_text(argument, levels)


def _precedes_secret(argument: str) -> bool:
    """Whether the next argument is a secret: this is an option or a field with such a name and without a value."""
    if argument.lower() in {"bearer", "basic"}:
        return True
    name = argument.rstrip(":=")
    if name == argument and not argument.startswith(("-", "/")):
        return False
    found = _SECRET_NAME.search(name.lstrip("-/"))
    return found is not None and found.end() == len(name.lstrip("-/"))


def _masked_text(text: str, levels: int) -> str:
    """Mask one argument. If it contains blanks, it may be a command, so its words are masked as arguments too."""
    if levels == 0:
        return MASK
    assigned = _ASSIGNMENT.match(text.lstrip("-/{\"'"))
    if assigned:
        # The value extends to the end of the argument.
        return text[: len(text) - len(assigned[3])] + MASK if assigned[3] else text
    parts = _PARTS.findall(text)
    if len(parts) > 1:
        words = _masked([part for part in parts if not part.isspace()], levels - 1)
        text = "".join(part if part.isspace() else next(words) for part in parts)
    elif quoted := re.search(r"['\"](?=.*\s)", text, re.DOTALL):
        text = text[: quoted.end()] + _masked_text(text[quoted.end() :], levels - 1)
    else:
        text = _ASSIGNMENT.sub(rf"\1\2{re.escape(MASK)}".replace("\\*", "*"), text)
    text = _QUERY_PARAMETER.sub(rf"\1{MASK}", text)
    text = _SCHEME_AND_SECRET.sub(rf"\1\2{MASK}", text)
    text = _USER_INFO.sub(rf"\1{MASK}@", text)
    text = _LONG_USER.sub(rf"\1{MASK}@", text)
    return _KNOWN_TOKEN.sub(MASK, text)
