"""Options of a mount, by name: what is the mount's own, what is for its origin, and what of that is secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zerohop.errors import InvalidRequest
from zerohop.model import WritePolicy
from zerohop.units import parse_duration, parse_size

__all__ = ["SECRET_OPTIONS", "MountSettings", "mount_settings", "read_mount_options"]

SECRET_OPTIONS = frozenset(
    (
        "access_key",
        "secret_key",
        "session_token",
        "service_account",
        "token",
        "account_key",
        "sas",
        "client_secret",
    )
)
"""Of origins of any kind: their values are sealed by the master, and shown to nobody."""

_FOR_EVER = -1.0
_SWITCH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(slots=True)
class MountSettings:
    """What was asked for; `options` and `secrets` are for the origin. `given` are the names that were there at all."""

    metadata_ttl_s: float = 60.0
    write_policy: WritePolicy = WritePolicy.CACHE_THROUGH
    read_only: bool = False
    block_size_bytes: int = 0
    quota_bytes: int = 0
    options: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    given: frozenset[str] = frozenset()


def read_mount_options(given: Sequence[str]) -> MountSettings:
    """From `NAME=VALUE` each. Raises InvalidRequest for what has no `=`, comes twice, or cannot be read."""
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidRequest(f"--option takes NAME=VALUE, not {name!r}")
        if name in values:
            raise InvalidRequest(f"option {name!r} is given twice")
        values[name] = value
    return mount_settings(values)


def mount_settings(values: Mapping[str, str]) -> MountSettings:
    """Raises InvalidRequest for a value that cannot be read. The worker that opens the origin refuses options that its
    kind of store does not have.
    """
    settings = MountSettings(given=frozenset(values))
    for name, value in values.items():
        _take(settings, name, value)
    return settings


def _take(settings: MountSettings, name: str, value: str) -> None:
    try:
        match name:
            case "metadata_ttl":
                settings.metadata_ttl_s = _FOR_EVER if value in ("-1", "never") else _seconds(value)
            case "write_policy":
                settings.write_policy = WritePolicy(value)
            case "read_only":
                settings.read_only = _SWITCH[value.lower()]
            case "block_size":
                settings.block_size_bytes = parse_size(value)
            case "quota":
                settings.quota_bytes = parse_size(value)
            case _ if name in SECRET_OPTIONS:
                settings.secrets[name] = value
            case _:
                settings.options[name] = value
    except (ValueError, KeyError):
        raise InvalidRequest(f"option {name} of a mount cannot be {value!r}: {_EXPECTED[name]}") from None


def _seconds(text: str) -> float:
    """A bare number is one of seconds."""
    return float(text) if text.replace(".", "", 1).isdigit() else parse_duration(text)


_EXPECTED = {
    "metadata_ttl": "seconds, or a duration such as 5m; 0 asks at each read, -1 never again",
    "write_policy": f"one of {', '.join(WritePolicy)}",
    "read_only": "true or false",
    "block_size": "a size such as 4MiB, a power of two",
    "quota": "a size such as 100GiB",
}
