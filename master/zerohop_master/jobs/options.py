"""What the kinds of jobs may be told: read, and refused where it makes no sense. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from zerohop.errors import InvalidRequest

__all__ = [
    "CLUSTER_KINDS",
    "Copies",
    "Lifetime",
    "Load",
    "check_options",
    "copies_of",
    "lifetime_of",
    "load_of",
]

from typing import NamedTuple

_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "load": frozenset({"replicas", "bytes_per_second"}),
    "free": frozenset(),
    "pin": frozenset(),
    "unpin": frozenset(),
    "persist": frozenset(),
    "set_ttl": frozenset({"ttl_s", "action"}),
    "set_replication": frozenset({"min", "max"}),
    "drain": frozenset({"worker"}),
    "rebalance": frozenset({"worker"}),
}
CLUSTER_KINDS: Final = frozenset({"drain", "rebalance"})
"""Those of no bucket."""

_MAX_COPIES: Final = 1000


class Load(NamedTuple):
    """On so many workers; at most so many bytes a second (0: as fast as it goes)."""

    replicas: int
    bytes_per_second: int


class Lifetime(NamedTuple):
    """0 seconds: none."""

    ttl_s: float
    action: str


class Copies(NamedTuple):
    """Bounds of the number of workers that have a cached block; a maximum of 0 is none."""

    least: int
    most: int


def check_options(kind: str, options: Mapping[str, str]) -> None:
    """Raises InvalidRequest."""
    known = _OPTIONS.get(kind)
    if known is None:
        raise InvalidRequest(f"{kind!r} is no kind of job: one of {', '.join(sorted(_OPTIONS))}")
    if unknown := sorted(options.keys() - known):
        raise InvalidRequest(f"a {kind} job has no option {unknown[0]!r}")
    if kind == "load":
        load_of(options)
    elif kind == "set_ttl":
        lifetime_of(options)
    elif kind == "set_replication":
        copies_of(options)
    elif kind == "drain" and not options.get("worker"):
        raise InvalidRequest("say which worker is to be drained")


def load_of(options: Mapping[str, str]) -> Load:
    """Raises InvalidRequest."""
    replicas = _number(options, "replicas", 1)
    if not 1 <= replicas <= _MAX_COPIES:
        raise InvalidRequest(f"replicas are 1 to {_MAX_COPIES}")
    return Load(replicas, _number(options, "bytes_per_second", 0))


def lifetime_of(options: Mapping[str, str]) -> Lifetime:
    """Raises InvalidRequest."""
    try:
        ttl_s = float(options.get("ttl_s", ""))
    except ValueError:
        raise InvalidRequest("ttl_s is a number of seconds") from None
    if not (math.isfinite(ttl_s) and ttl_s >= 0):
        raise InvalidRequest("ttl_s is 0 or more seconds")
    action = options.get("action", "free")
    if action not in ("free", "delete"):
        raise InvalidRequest(f"the action of a time to live is free or delete, not {action!r}")
    return Lifetime(ttl_s, action)


def copies_of(options: Mapping[str, str]) -> Copies:
    """Raises InvalidRequest."""
    least, most = _number(options, "min", 0), _number(options, "max", 0)
    if least > _MAX_COPIES or most > _MAX_COPIES or (most and least > most):
        raise InvalidRequest(f"min is at most max, and both at most {_MAX_COPIES}")
    return Copies(least, most)


def _number(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise InvalidRequest(f"{name} is a number, not {text!r}")
    return int(text)
