"""A command-line flag for each configuration field, made from the field's own documentation."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from zerohop.config import Field, Kind, Loaded, fields_of, format_value, load

__all__ = ["config_file_option", "flags_of", "load_config"]

C = TypeVar("C", bound=msgspec.Struct)
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

config_file_option = click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="ZEROHOP_CONFIG",
    help="Configuration file (TOML).",
)


def flags_of(struct: type[msgspec.Struct]) -> Callable[[Decorated], Decorated]:
    """Adds `--config` and a flag per field. Secrets get none: other users of the machine can read a command line."""

    def decorate(command: Decorated) -> Decorated:
        for field in reversed(fields_of(struct).values()):
            if field.setting.kind is not Kind.SECRET:
                command = _option(field)(command)
        return config_file_option(command)

    return decorate


def _option(field: Field) -> Callable[[Decorated], Decorated]:
    default = format_value(field.setting, field.default)
    text = f"{field.setting.doc}  [default: {default}]" if default else field.setting.doc
    if field.setting.kind is Kind.SWITCH:
        spelling = f"{field.flag}/{field.flag.replace('--', '--no-', 1)}"
        return click.option(spelling, field.name, default=None, help=text)
    return click.option(field.flag, field.name, metavar=field.setting.kind.name, default=None, help=text)


def load_config(struct: type[C], config_file: Path | None, flags: Mapping[str, object]) -> Loaded[C]:
    """The configuration from the file, this process's environment and the flags that were given."""
    given = {name: str(value) for name, value in flags.items() if value is not None}
    return load(struct, file=config_file, environ=os.environ, flags=given)
