"""The command line. Each command is imported when it is called, so that none slows down or breaks another."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

import click

from zerohop import __version__
from zerohop.cli.exit_codes import exit_code
from zerohop.errors import ZerohopError

__all__ = ["main"]

_COMMANDS: Final = {
    "up": "zerohop.cli.up:up",
    "master": "zerohop.cli.process:master",
    "worker": "zerohop.cli.process:worker",
    "proxy": "zerohop.cli.process:proxy",
    "config": "zerohop.cli.config_show:config",
    "fs": "zerohop.cli.fs:fs",
    "user": "zerohop.cli.user:user",
    "admin": "zerohop.cli.admin:admin",
    "bench": "zerohop.cli.bench:bench",
}


class _LazyCommands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        target = _COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=_LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zerohop")
def _zerohop() -> None:
    """A fast, correct S3 endpoint with a memory and SSD cache in front of slow storage."""


def main() -> None:
    """The `zerohop` command: runs it, and turns errors into one line and an exit status."""
    try:
        _zerohop(prog_name="zerohop")
    except ZerohopError as error:
        sys.stderr.write(f"zerohop: {error.message}\n")
        sys.exit(exit_code(error))
    except BrokenPipeError:
        # The reader of our output has gone, as in `zerohop fs ls | head`; nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
