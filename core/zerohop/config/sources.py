"""Reading a configuration: file < environment < flags, each value with where it came from."""

from __future__ import annotations

import difflib
import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec

from zerohop.config.fields import Field, Mounts, Secret, fields_of, parse_value
from zerohop.config.machine import derive_worker
from zerohop.config.processes import (
    MasterConfig,
    ProcessConfig,
    ProxyConfig,
    RpcServerConfig,
    UpConfig,
    WorkerConfig,
)
from zerohop.errors import ConfigError, InvalidRequest
from zerohop.mount_options import mount_settings

__all__ = ["PROCESSES", "SHARED_FIELDS", "Loaded", "environment_variable", "load"]

PROCESSES: Final[dict[str, type[msgspec.Struct]]] = {
    "master": MasterConfig,
    "worker": WorkerConfig,
    "proxy": ProxyConfig,
    "up": UpConfig,
}
_SHARED: Final = "cluster"
SHARED_FIELDS: Final = tuple(fields_of(RpcServerConfig))
"""What `[cluster]` may hold; a process takes those that it has."""

_ENVIRONMENT: Final = "ZEROHOP_"
_VARIABLES_OF_COMMANDS: Final = ("ZEROHOP_CONFIG", "ZEROHOP_DATA", "ZEROHOP_MASTER")
"""Those that are no field: the file, and how client commands find a cluster."""

C = TypeVar("C", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[C]):
    """A checked configuration, and for each field where its value came from (`default`, `file ...`, ...)."""

    config: C
    origins: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Source:
    """One place that gives values: how it names a field in a message, and what it holds."""

    origin: str
    values: Mapping[str, object]
    spelling: Mapping[str, str]


def load(
    struct: type[C],
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> Loaded[C]:
    """The configuration of one process from all its sources; what is open is taken from the machine.

    `flags` maps field names to the text that was given. Raises ConfigError, naming the source, the key and what was
    expected; an unknown key names the nearest known one.
    """
    process = next(name for name, known in PROCESSES.items() if known is struct)
    fields = fields_of(struct)
    values: dict[str, Any] = {}
    origins = dict.fromkeys(fields, "default")
    for source in _sources(process, fields, file, environ or {}, flags or {}):
        for name, raw in source.values.items():
            spelled = source.spelling.get(name, name)
            try:
                values[name] = parse_value(fields[name].setting, raw)
            except ValueError as error:
                raise ConfigError(f"{source.origin}: {spelled}: {error}") from None
            origins[name] = f"{source.origin} {spelled}".strip()
    _read_secret_file(values, origins)
    config = struct(**values)
    _check(config)
    if isinstance(config, WorkerConfig):
        derived = derive_worker(config)
        changes: dict[str, Any] = {name: item.value for name, item in derived.items()}
        config = msgspec.structs.replace(config, **changes)
        origins |= {name: f"auto: {item.reason}" for name, item in derived.items()}
    return Loaded(config, origins)


def _sources(
    process: str,
    fields: Mapping[str, Field],
    file: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, str],
) -> Iterable[_Source]:
    _refuse_unknown_variables(environ)
    shared = {name for name in SHARED_FIELDS if name in fields}
    if file is not None:
        tables = _read_tables(file)
        origin = f"file {file}"
        for table, known in ((_SHARED, shared), (process, set(fields))):
            values = {name: value for name, value in tables.get(table, {}).items() if name in known}
            yield _Source(origin, values, {name: f"[{table}] {name}" for name in values})
    for table, known in ((_SHARED, shared), (process, set(fields))):
        given = _environment(table, environ)
        values = {name: value for name, value in given.items() if name in known}
        yield _Source("environment", values, {name: environment_variable(table, name) for name in values})
    yield _Source("flag", flags, {name: fields[name].flag for name in flags})


def _read_tables(file: Path) -> dict[str, dict[str, object]]:
    """The tables of a configuration file, every key of every table known."""
    try:
        with file.open("rb") as opened:
            document = tomllib.load(opened)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"file {file} is not TOML: {error}") from None
    for table, content in document.items():
        if table not in (_SHARED, *PROCESSES):
            raise ConfigError(_unknown(f"file {file}: unknown table [{table}]", table, (_SHARED, *PROCESSES)))
        if not isinstance(content, dict):
            raise ConfigError(f"file {file}: {table} must be a table: [{table}]")
        known = _known(table)
        for name in content:
            if name not in known:
                raise ConfigError(_unknown(f"file {file}: [{table}] has no key {name!r}", name, known))
    return document


def _environment(table: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of one table by field name."""
    known = {environment_variable(table, name): name for name in _known(table)}
    return {known[variable]: value for variable, value in environ.items() if variable in known}


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    """Raises ConfigError for a variable that looks like ours and is not: what it was to set would be missed late."""
    known = [environment_variable(table, name) for table in (_SHARED, *PROCESSES) for name in _known(table)]
    known.extend(_VARIABLES_OF_COMMANDS)
    for variable in environ:
        if variable.startswith(_ENVIRONMENT) and variable not in known:
            raise ConfigError(_unknown(f"environment: unknown variable {variable}", variable, known))


def _known(table: str) -> list[str]:
    return list(SHARED_FIELDS if table == _SHARED else fields_of(PROCESSES[table]))


def environment_variable(table: str, name: str) -> str:
    """The environment variable of a field; `cluster` is the table of what all processes share."""
    if (table, name) == ("up", "data"):
        return f"{_ENVIRONMENT}DATA"  # the client commands find the cluster by the same variable
    # The shared secret is ZEROHOP_CLUSTER_SECRET, not ZEROHOP_CLUSTER_CLUSTER_SECRET.
    short = name.removeprefix("cluster_") if table == _SHARED else name
    return f"{_ENVIRONMENT}{table}_{short}".upper()


def _unknown(message: str, name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
    return f"{message}; did you mean {nearest[0]}?" if nearest else message


def _read_secret_file(values: dict[str, Any], origins: dict[str, str]) -> None:
    path = values.get("cluster_secret_file", "")
    if not path:
        return
    if values.get("cluster_secret"):
        raise ConfigError("cluster_secret and cluster_secret_file are both given: keep one")
    file = Path(path)
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise ConfigError(f"cluster_secret_file {file} is readable by others: chmod 600 {file}")
        secret = file.read_text().strip()
    except OSError as error:
        raise ConfigError(f"cluster_secret_file {file} cannot be read: {error.strerror}") from None
    if not secret:
        raise ConfigError(f"cluster_secret_file {file} is empty")
    values["cluster_secret"] = Secret(secret)
    origins["cluster_secret"] = f"file {file}"


def _check_mounts(mounts: Mounts) -> None:
    for name, table in mounts:
        try:
            mount_settings({key: value for key, value in table if key not in ("uri", "owner")})
        except InvalidRequest as error:
            raise ConfigError(f"mount {name!r}: {error.message}") from None


def _check(config: msgspec.Struct) -> None:
    """What no single field can tell."""
    if isinstance(config, ProcessConfig):
        tls = (config.rpc_tls_cert, config.rpc_tls_key, config.rpc_tls_ca)
        if any(tls) and not all(tls):
            raise ConfigError("rpc_tls_cert, rpc_tls_key and rpc_tls_ca go together: give all three, or none")
    if isinstance(config, WorkerConfig) and not 0 < config.watermark_low < config.watermark_high:
        raise ConfigError("watermark_low must be more than 0% and less than watermark_high")
    if isinstance(config, MasterConfig):
        _check_mounts(config.mounts)
    if isinstance(config, MasterConfig) and config.lost_after_s <= config.heartbeat_s:
        raise ConfigError("lost_after_s must be longer than heartbeat_s, or every worker is lost at once")
    if isinstance(config, MasterConfig) and config.block_size_bytes.bit_count() != 1:
        raise ConfigError(
            f"block_size_bytes {config.block_size_bytes}: expected a power of two, such as 1MiB or 4MiB"
        )
