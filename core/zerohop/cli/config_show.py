"""`zerohop config show`: each value of a configuration, and where it came from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from zerohop.cli.config_flags import config_file_option, load_config
from zerohop.config import (
    PROCESSES,
    SHARED_FIELDS,
    Field,
    MasterConfig,
    environment_variable,
    fields_of,
    format_value,
)

__all__ = ["config"]


@click.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@config_file_option
@click.argument("process", type=click.Choice(list(PROCESSES)), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(config_file: Path | None, process: str | None, as_json: bool) -> None:
    """Print each value with where it came from: file, environment, or the default."""
    shown = {name: _rows(name, config_file) for name in ([process] if process else PROCESSES)}
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    for name, rows in shown.items():
        click.echo(f"[{name}]")
        widths = [max(len(row[column]) for row in rows) for column in ("key", "value")]
        for row in rows:
            click.echo(f"{row['key']:<{widths[0]}}  {row['value']:<{widths[1]}}  {row['from']}")


def _rows(process: str, config_file: Path | None) -> list[dict[str, Any]]:
    loaded = load_config(PROCESSES[process], config_file, {})
    return [
        {
            "key": name,
            "value": format_value(field.setting, getattr(loaded.config, name)),
            "from": loaded.origins[name],
            "doc": field.setting.doc,
        }
        for name, field in fields_of(type(loaded.config)).items()
    ]


@config.command()
def reference() -> None:
    """Print the documentation of every key, as Markdown."""
    click.echo(_INTRODUCTION)
    shared = {name: fields_of(MasterConfig)[name] for name in SHARED_FIELDS}
    _print_table(
        "cluster", "What all processes share; each may say otherwise in its own table.", shared.values()
    )
    for process, struct in PROCESSES.items():
        own = [field for name, field in fields_of(struct).items() if name not in SHARED_FIELDS]
        _print_table(process, (struct.__doc__ or "").strip(), own)


_INTRODUCTION = """\
# Configuration

A TOML file (`--config FILE` or `ZEROHOP_CONFIG`) has a table for each process; environment variables win over it, and
flags (`--mem-quota 4GiB` for `mem_quota`) over both. An unknown key is an error. `zerohop config show` prints what
applies and where it came from.

Sizes are written as `64MiB` or `10GB`, durations as `500ms`, `10s` or `5m`, percentages as `80%`; plain numbers are
bytes, seconds and fractions. This page is the output of `zerohop config reference`."""


def _print_table(table: str, about: str, fields: Iterable[Field]) -> None:
    click.echo(f"\n## [{table}]\n\n{about}\n")
    click.echo("| key | default | what it does | environment |\n|---|---|---|---|")
    for field in fields:
        default = format_value(field.setting, field.default)
        shown = f"`{default}`" if default else ""
        choices = f" ({', '.join(field.setting.choices)})" if field.setting.choices else ""
        click.echo(
            f"| `{field.name}` | {shown} | {field.setting.doc}{choices} | `{environment_variable(table, field.name)}` |"
        )
