"""Command lines with their secrets masked. Pure: arguments in, one line out.

``/proc/PID/cmdline`` can be read by every user of the machine (proc_pid_cmdline(5)), but not by everybody who can reach
an HTTP port. What looks like a secret is masked whole, and rather too much than too little: which programs take which
secrets how is known only of some, so this lessens the harm of showing command lines and does not make it none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

__all__ = ["MASK", "masked_command_line"]

MASK = "***"
_MOST_CHARACTERS = 1024
_MOST_NESTED = 6
"""So many commands within commands are looked into; what is deeper is masked whole."""

_WORD = (
    r"pass(?:w(?:or)?d|phrase|code|in|out)?(?![a-z])|pwd|passw|secret|token|api[-_.]?key|(?:access|account|auth|private|"
    r"encryption|signing|license|master)[-_.]?key|credential|creds|auth(?![a-z])|authorization|bearer|cookie|"
    r"session[-_.]?(?:id|key)|signature|(?<![a-z])sig(?![a-z])|salt(?![a-z])|(?<![a-z])pin(?![a-z])"
)
_NAME_ITSELF = rf"[\w.-]*?(?:{_WORD})[\w.-]*+"
_NAME = rf"(?<![\w.-]){_NAME_ITSELF}"
"""A name with such a word in it. Tried once for each word of the text, so that its cost grows with the length only."""

_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
_ASSIGNED = re.compile(rf"({_NAME}[\"']?(?:=|:(?!//)))(\s*)(.*)", re.IGNORECASE | re.DOTALL)
_SCHEME_AND_SECRET = re.compile(r"\b(bearer|basic|digest)(\s+)\S+", re.IGNORECASE)
_USER_INFO = re.compile(r"(://[^\s/?#:@]*:)(?:[^\s@]*+@)++")
_USER_ALONE = re.compile(r"(://)[^\s/?#:@]{20,}+@")
_IN_QUERY = re.compile(rf"([?&;#]{_NAME_ITSELF}=)[^&;#\s]*+", re.IGNORECASE)
_KNOWN_SHAPE = re.compile(
    r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|sk-|AKIA|ASIA|AIza|eyJ[\w-]{8,}\.)[\w.-]{12,}+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*",
    re.DOTALL,
)
_PARTS = re.compile(r"\s+|(?:'[^']*+(?:'|\Z)|\"[^\"]*+(?:\"|\Z)|[^\s'\"])+")
"""Words and what is between them; blanks within quotes do not end a word, and a quote that is not closed goes on."""

_ATTACHED = {"mysql": "p", "mariadb": "p", "sshpass": "p", "smbclient": "U", "rpcclient": "U", "7z": "p", "unzip": "P"}
_SEPARATE = {
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
"""Short options whose value is a secret, by the beginning of the program's name: as ``-pX`` and as ``-p X``."""


def masked_command_line(arguments: Sequence[str]) -> str:
    """The arguments with blanks between, secrets as ``***``; of what is longer than 1,024 characters the beginning.

    Empty arguments at the end are left out: a program that writes a title over its arguments fills the rest with zeros.
    Masked are the values of options, variables and fields that have a name like ``password`` or ``token``
    (``--token X``, ``--token=X``, ``TOKEN=X``, ``"token": "X"``, ``Authorization: Bearer X``, ``?token=X``), the
    password in a URL, short options for passwords of well-known programs (``mysql -pX``), and what has the shape of
    well-known tokens; also within an argument that is a command itself (``sh -c``).
    """
    count = len(arguments)
    while count and not arguments[count - 1]:
        count -= 1
    kept, is_whole = _beginning(arguments[:count])
    line = " ".join(_masked(kept, _MOST_NESTED))
    return line if is_whole and len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}..."


def _beginning(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """So many arguments as have room, and whether these are all.

    Of one that has not, whole words: half a word may be half a secret that is known by its end (``://user:secret@host``).
    """
    kept: list[str] = []
    room = _MOST_CHARACTERS
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
        if is_secret and not _announces(argument):
            is_secret = False
            yield MASK
            continue
        attached.update(*(letters for name, letters in _ATTACHED.items() if program.startswith(name)))
        separate.update(*(letters for name, letters in _SEPARATE.items() if program.startswith(name)))
        is_option = len(argument) > 1 and argument[0] == "-" and argument[1] != "-"
        if is_option and len(argument) > 2 and argument[1] in attached | separate:
            yield argument[:2] + MASK
            continue
        is_secret = _announces(argument) or (is_option and argument[1] in separate and len(argument) == 2)
        yield argument if is_secret else _masked_text(argument, levels)


def _announces(argument: str) -> bool:
    """Whether the next argument is a secret: an option or a field whose name says so, without a value of its own."""
    if argument.lower() in {"bearer", "basic"}:
        return True
    name = argument.rstrip(":=")
    if name == argument and not argument.startswith(("-", "/")):
        return False
    found = _SECRET_NAME.search(name.lstrip("-/"))
    return found is not None and found.end() == len(name.lstrip("-/"))


def _masked_text(text: str, levels: int) -> str:
    """One argument. With blanks in it, it may be a command: its words are looked at as arguments too."""
    if levels == 0:
        return MASK
    assigned = _ASSIGNED.match(text.lstrip("-/{\"'"))
    if assigned:
        # To the end, whatever is in it.
        return text[: len(text) - len(assigned[3])] + MASK if assigned[3] else text
    parts = _PARTS.findall(text)
    if len(parts) > 1:
        words = _masked([part for part in parts if not part.isspace()], levels - 1)
        text = "".join(part if part.isspace() else next(words) for part in parts)
    elif quoted := re.search(r"['\"](?=.*\s)", text, re.DOTALL):
        text = text[: quoted.end()] + _masked_text(text[quoted.end() :], levels - 1)
    else:
        text = _ASSIGNED.sub(rf"\1\2{re.escape(MASK)}".replace("\\*", "*"), text)
    text = _IN_QUERY.sub(rf"\1{MASK}", text)
    text = _SCHEME_AND_SECRET.sub(rf"\1\2{MASK}", text)
    text = _USER_INFO.sub(rf"\1{MASK}@", text)
    text = _USER_ALONE.sub(rf"\1{MASK}@", text)
    return _KNOWN_SHAPE.sub(MASK, text)
