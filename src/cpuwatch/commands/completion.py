"""``cpuwatch completion``: prints the completion script of a shell, made from the parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from cpuwatch.commands.standard_streams import write_output

__all__ = ["SHELLS", "add_completion", "completion_script"]

SHELLS = ("bash", "zsh", "fish")


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"one of {', '.join(SHELLS)}")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    from cpuwatch.commands.cli import parser  # noqa: PLC0415  which imports this module

    write_output(completion_script(parser(), options.shell).encode())


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script that completes commands, flags and their values in ``shell``."""
    import shtab  # noqa: PLC0415  only this command needs it

    for action in _actions(parser):
        if action.metavar == "FILE":
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # read by shtab
    script: str = shtab.complete(parser, shell)
    return script if script.endswith("\n") else script + "\n"


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001  argparse has no public way to list them
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                yield from _actions(command)
