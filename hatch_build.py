"""Adds files generated from the parser to the wheel: the man page and the completion scripts."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SHARED = {
    "bash": "share/bash-completion/completions/cpuwatch",
    "zsh": "share/zsh/site-functions/_cpuwatch",
    "fish": "share/fish/vendor_completions.d/cpuwatch.fish",
    "man": "share/man/man1/cpuwatch.1",
}
"""Where the shells and man(1) look for them, below a prefix such as /usr or ~/.local."""


class BuildHook(BuildHookInterface):
    """Generates the files before the wheel is packed, and deletes them afterwards."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  the interface of hatchling
        """Generate the files and list them as shared data of the wheel."""
        sys.path.insert(0, str(Path(self.root, "src")))
        from cpuwatch.commands.cli import parser  # noqa: PLC0415  not importable before
        from cpuwatch.commands.completion import SHELLS, completion_script  # noqa: PLC0415

        texts = {shell: completion_script(parser(), shell) for shell in SHELLS}
        texts["man"] = self._man_page(parser())
        self._folder = TemporaryDirectory(prefix="cpuwatch-")
        for name, text in texts.items():
            path = Path(self._folder.name, name)
            path.write_text(text)
            build_data["shared_data"][str(path)] = _SHARED[name]

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002  as above
        """Delete the files."""
        self._folder.cleanup()

    def _man_page(self, parser: Any) -> str:
        from argparse_manpage.manpage import Manpage  # noqa: PLC0415  installed for builds only

        about = {
            "project_name": self.metadata.name,
            "version": self.metadata.version,
            "description": "show which processes use the CPU",
            "manual_title": "User Commands",
            "include": str(Path(self.root, "docs", "cpuwatch.1.include")),
        }
        page = str(Manpage(parser, about, format="single-commands-section"))
        # argparse-manpage breaks lines before a quote, which begins a request there (groff(7), control characters).
        return re.sub(r"^'", r"\\&'", page, flags=re.MULTILINE)
