"""Variables that begin with ``CPUWATCH_`` but are not settings: service links, and misspelled settings. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

from cpuwatch.errors import SettingsError
from cpuwatch.settings import PREFIX, VARIABLES, Settings

__all__ = ["check_token_is_in_use", "unknown_variables", "warnings_about"]

_SERVICE_LINK = re.compile(
    r"""
    CPUWATCH_ (?:\w+_)?
    (?: SERVICE_HOST=
      | SERVICE_PORT (?:_\w+)? =
      | PORT = (?:tcp|udp|sctp)://
      | PORT_[0-9]+_(?:TCP|UDP|SCTP) (?:_(?:ADDR|PROTO|START|END|PORT(?:_(?:START|END))?))? =
      | NAME = /
      | ENV_\w+ =
    )
    """,
    re.VERBOSE | re.ASCII,
)
"""The start of assignments that container engines make for other services.

Kubernetes makes them for each Service of the namespace (``pkg/kubelet/envvars/envvars.go``), after the manner of Docker
for ``--link`` (``daemon/links/links.go``).
"""

_SECRET = re.compile("TOKEN|AUTH|PASSW|SECRET")
_TOKEN_VARIABLES = {"CPUWATCH_TOKEN", "CPUWATCH_TOKEN_FILE"}


def unknown_variables(environment: Mapping[str, str]) -> dict[str, str | None]:
    """The ``CPUWATCH_`` variables that are neither settings nor service links of a container engine.

    Each with the setting of the most similar name, or ``None`` if no name is similar.
    """
    return {
        variable: _nearest(variable)
        for variable, text in environment.items()
        if variable.startswith(PREFIX) and variable not in VARIABLES and not _SERVICE_LINK.match(f"{variable}={text}")
    }


def warnings_about(environment: Mapping[str, str]) -> list[str]:
    """A warning for each unknown variable."""
    return [
        f"{variable} is not a setting and is ignored"
        + (f"; did you mean {nearest}?" if nearest else f"; settings are {', '.join(VARIABLES)}")
        for variable, nearest in unknown_variables(environment).items()
    ]


def check_token_is_in_use(environment: Mapping[str, str], settings: Settings) -> None:
    """Refuse to serve without a token if the environment seems to set one.

    Otherwise a misspelled or empty ``CPUWATCH_TOKEN_FILE`` would open the service to everyone. Raises
    :class:`~cpuwatch.errors.SettingsError`, which names the variable.
    """
    if settings.token is not None:
        return
    for variable in sorted(_TOKEN_VARIABLES.intersection(environment)):
        raise SettingsError(f"{variable} is empty: set it, or unset it to serve without a token")
    for variable, nearest in unknown_variables(environment).items():
        if nearest in _TOKEN_VARIABLES or _SECRET.search(variable.upper()):
            raise SettingsError(
                f"{variable} is not a setting, and no token is set: did you mean CPUWATCH_TOKEN_FILE? "
                f"Otherwise unset {variable} to serve without a token"
            )


def _nearest(variable: str) -> str | None:
    # Without the common prefix, which would make all names similar.
    names = {setting.removeprefix(PREFIX): setting for setting in VARIABLES}
    similar = get_close_matches(variable.upper().removeprefix(PREFIX), names, n=1)
    return names[similar[0]] if similar else None
