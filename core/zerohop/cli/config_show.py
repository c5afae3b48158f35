"""`zerohop config show`: each value of a configuration, and where it came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from zerohop.cli.config_flags import config_file_option, load_config
from zerohop.config import PROCESSES, fields_of, format_value

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
