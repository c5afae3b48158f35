"""The example configuration of a real cluster is one that the processes accept."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from zerohop.config import PROCESSES, load

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


@pytest.mark.parametrize("process", ["master", "worker", "proxy"])
def test_the_example_can_be_loaded(process: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef")
    secret.chmod(0o600)
    example = tmp_path / "zerohop.toml"
    example.write_text((DEPLOY / "zerohop.toml").read_text().replace("/etc/zerohop/secret", str(secret)))
    loaded = load(PROCESSES[process], file=example)
    given = tomllib.loads(example.read_text())[process]
    assert {name for name, origin in loaded.origins.items() if f"[{process}]" in origin} == set(given)
