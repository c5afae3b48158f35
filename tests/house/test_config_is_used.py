"""Every configuration field does something: some process reads it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zerohop.config import PROCESSES, fields_of

ROOT = Path(__file__).resolve().parents[2]

# Where the fields of a process may be read: its own package, and the shells that start it.
READERS = {
    "master": ("master", "core/zerohop/rpc", "core/zerohop/cli/process.py"),
    "worker": ("worker", "core/zerohop/rpc", "core/zerohop/cli/process.py"),
    "proxy": ("proxy", "core/zerohop/rpc", "core/zerohop/cli/process.py"),
    "up": ("core/zerohop/cli",),
}
READ_WHILE_LOADING = {"cluster_secret_file"}


@pytest.mark.parametrize("process", list(PROCESSES))
def test_every_field_is_read(process: str) -> None:
    sources = [file.read_text() for reader in READERS[process] for file in _python_files(ROOT / reader)]
    unread = [
        name
        for name in fields_of(PROCESSES[process])
        if name not in READ_WHILE_LOADING
        and not any(re.search(rf"(config|settings|self|_config)\.{name}\b", source) for source in sources)
    ]
    assert not unread


def _python_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.py"))
