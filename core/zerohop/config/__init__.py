"""The configuration: one documented struct per process, filled from a TOML file, the environment and flags.

`load` reads and checks all three (later ones win), takes what is left at `auto` from the machine, and remembers
where each value came from. A file has one table per process, and `[cluster]` for what all of them share.
"""

from __future__ import annotations

from zerohop.config.fields import AUTO, Field, Kind, Secret, Setting, fields_of, format_value
from zerohop.config.machine import resolve
from zerohop.config.processes import MasterConfig, ProcessConfig, ProxyConfig, UpConfig, WorkerConfig
from zerohop.config.sources import PROCESSES, SHARED_FIELDS, Loaded, environment_variable, load

__all__ = [
    "AUTO",
    "PROCESSES",
    "SHARED_FIELDS",
    "Field",
    "Kind",
    "Loaded",
    "MasterConfig",
    "ProcessConfig",
    "ProxyConfig",
    "Secret",
    "Setting",
    "UpConfig",
    "WorkerConfig",
    "environment_variable",
    "fields_of",
    "format_value",
    "load",
    "resolve",
]
