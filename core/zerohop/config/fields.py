"""What a configuration field is: its documentation, its kind, and how a value of that kind is read and shown."""

from __future__ import annotations

import enum
import math
import re
import typing
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from zerohop.units import (
    format_duration,
    format_percentage,
    format_size,
    parse_duration,
    parse_percentage,
    parse_size,
)

__all__ = ["AUTO", "Field", "Kind", "Mounts", "Secret", "Setting", "fields_of", "format_value", "parse_value"]

AUTO: Final = -1
"""A quota that is yet to be taken from the machine (`auto` in a file, the environment or a flag)."""


_DOMAIN: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)


Mounts = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
"""Mounts by name, each with its keys and values as text."""


class Secret(str):
    """A string that is never shown: its repr is masked, so that a logged or printed configuration stays harmless."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'" if self else "''"


class Kind(enum.Enum):
    """How a value is written. The value of each member says what was expected, for error messages and the docs."""

    TEXT = "text"
    PATH = "a path"
    ADDRESSES = "addresses such as tcp://10.0.0.1:19998, tls://... or unix:/run/zerohop/master.sock"
    DOMAINS = "domain names such as s3.example.com"
    SIZE = "a size such as 64MiB or 10GB"
    QUOTA = "a size such as 10GB, 0 for none, or auto"
    DURATION = "a duration such as 500ms, 10s or 5m"
    PERCENTAGE = "a percentage such as 80%"
    COUNT = "a whole number"
    SWITCH = "true or false"
    CHOICE = "one of"
    MOUNTS = "a table of mounts, each a table with a uri"
    SECRET = "a secret"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Setting:
    """The annotation of a configuration field: one sentence on what it does, and its kind."""

    doc: str
    kind: Kind
    choices: tuple[str, ...] = ()
    minimum: float = 0
    maximum: float = math.inf

    @property
    def expected(self) -> str:
        """What a value must look like, for an error message."""
        if self.kind is Kind.CHOICE:
            return "one of " + ", ".join(self.choices)
        bound = f", at least {self._shown(self.minimum)}" if self.minimum or self.kind is Kind.COUNT else ""
        if self.maximum < math.inf:
            bound += f", at most {self._shown(self.maximum)}"
        return f"{self.kind.value}{bound}"

    def _shown(self, bound: float) -> str:
        return str(int(bound)) if self.kind is Kind.COUNT else format_value(self, bound)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a configuration struct."""

    name: str
    setting: Setting
    default: Any

    @property
    def flag(self) -> str:
        """The command-line flag: `--mem-quota` for `mem_quota`."""
        return "--" + self.name.replace("_", "-")


def fields_of(struct: type[msgspec.Struct]) -> dict[str, Field]:
    """The fields of a configuration struct by name, in the order of their definition."""
    hints = typing.get_type_hints(struct, include_extras=True)
    found: dict[str, Field] = {}
    for info in msgspec.structs.fields(struct):
        (setting,) = (item for item in hints[info.name].__metadata__ if isinstance(item, Setting))
        found[info.name] = Field(info.name, setting, info.default)
    return found


def parse_value(setting: Setting, raw: object) -> Any:
    """The value of a field from TOML (typed) or from the environment or a flag (text).

    Raises ValueError that says what was expected.
    """
    value = _read(setting, raw)
    if setting.kind is not Kind.QUOTA and isinstance(value, int | float):
        if value < setting.minimum:
            raise ValueError(f"{raw!r} is too small; expected {setting.expected}")
        if value > setting.maximum:
            raise ValueError(f"{raw!r} is too large; expected {setting.expected}")
    return value


def _read(setting: Setting, raw: object) -> Any:
    kind = setting.kind
    if kind is Kind.SWITCH:
        return _read_switch(raw)
    if kind is Kind.ADDRESSES:
        return _read_addresses(raw)
    if kind is Kind.DOMAINS:
        return _read_domains(raw)
    if kind is Kind.MOUNTS:
        return _read_mounts(raw)
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise ValueError(f"{raw!r}: expected {setting.expected}")
    if kind in (Kind.TEXT, Kind.PATH, Kind.SECRET, Kind.CHOICE):
        return _read_text(setting, raw)
    text = str(raw)
    if kind is Kind.QUOTA:
        return AUTO if text == "auto" else parse_size(text)
    if kind is Kind.COUNT:
        return _read_count(text)
    return _NUMBERS[kind](text)


_NUMBERS: Final = {Kind.SIZE: parse_size, Kind.DURATION: parse_duration, Kind.PERCENTAGE: parse_percentage}


def _read_text(setting: Setting, raw: str | int | float) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"{raw!r}: expected {setting.expected}")
    if setting.kind is Kind.CHOICE and raw not in setting.choices:
        raise ValueError(f"{raw!r}: expected {setting.expected}")
    return Secret(raw) if setting.kind is Kind.SECRET else raw


def _read_count(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r}: expected a whole number") from None


def _read_switch(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    text = str(raw).lower()
    if text in ("true", "yes", "1", "on"):
        return True
    if text in ("false", "no", "0", "off"):
        return False
    raise ValueError(f"{raw!r}: expected true or false")


def _read_list(raw: object, kind: Kind) -> tuple[str, ...]:
    items = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError(f"{raw!r}: expected a list of {kind.value}")
    return tuple(item.strip() for item in items if item.strip())


def _read_domains(raw: object) -> tuple[str, ...]:
    domains = tuple(domain.lower().removesuffix(".") for domain in _read_list(raw, Kind.DOMAINS))
    for domain in domains:
        if not _DOMAIN.fullmatch(domain):
            raise ValueError(f"{domain!r}: expected {Kind.DOMAINS.value}, without a port or a wildcard")
    return domains


def _read_addresses(raw: object) -> tuple[str, ...]:
    addresses = _read_list(raw, Kind.ADDRESSES)
    for address in addresses:
        scheme, _, rest = address.partition("://")
        good = address.startswith("unix:/") or (scheme in ("tcp", "tls") and _has_port(rest))
        if not good:
            raise ValueError(f"{address!r}: expected {Kind.ADDRESSES.value}")
    return addresses


def _read_mounts(raw: object) -> Mounts:
    """From nested tables, or from JSON of the same shape in the environment."""
    if isinstance(raw, str):
        try:
            raw = msgspec.json.decode(raw or "{}")
        except msgspec.DecodeError:
            raise ValueError('expected JSON such as {"data": {"uri": "s3://bucket"}}') from None
    if not isinstance(raw, dict):
        raise ValueError(f"expected {Kind.MOUNTS.value}")
    mounts = []
    for name, table in raw.items():
        if not isinstance(table, dict) or not isinstance(table.get("uri"), str):
            raise ValueError(
                f'mount {name!r}: expected a table with a uri, such as uri = "s3://bucket/prefix"'
            )
        bad = [key for key, value in table.items() if not isinstance(value, str | int | float | bool)]
        if bad:
            raise ValueError(f"mount {name!r}: {bad[0]}: expected a text, a number, true or false")
        mounts.append((name, tuple((key, _as_text(value)) for key, value in table.items())))
    return tuple(mounts)


def _as_text(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _has_port(rest: str) -> bool:
    host, _, port = rest.rpartition(":")
    return bool(host) and port.isdecimal() and int(port) < 65536


def format_value(setting: Setting, value: Any) -> str:
    """The value as a person would write it; secrets are masked."""
    kind = setting.kind
    if kind is Kind.SECRET:
        return "***" if value else ""
    if kind is Kind.QUOTA and value == AUTO:
        return "auto"
    if kind in (Kind.SIZE, Kind.QUOTA):
        return format_size(int(value)) if value else "0"
    if kind is Kind.DURATION:
        return format_duration(value)
    if kind is Kind.PERCENTAGE:
        return format_percentage(value)
    if kind in (Kind.ADDRESSES, Kind.DOMAINS):
        return ",".join(value)
    if kind is Kind.SWITCH:
        return "true" if value else "false"
    if kind is Kind.MOUNTS:
        return ",".join(name for name, _ in value)  # their keys may be secret
    return str(value)
