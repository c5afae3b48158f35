from __future__ import annotations

import stat
from pathlib import Path

import pytest

from zerohop.errors import ConfigError
from zerohop_master.secret_box import SecretBox


def test_secrets_are_unsealed_by_the_key_file_only(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    sealed = SecretBox.open(path).seal("s3cret", "AK")
    assert "s3cret" not in sealed
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SecretBox.open(path).unseal(sealed, "AK") == "s3cret"
    with pytest.raises(ConfigError):
        SecretBox.open(path).unseal(sealed, "another access key")
    with pytest.raises(ConfigError):
        SecretBox.ephemeral().unseal(sealed, "AK")


def test_a_damaged_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_bytes(b"short")
    with pytest.raises(ConfigError):
        SecretBox.open(tmp_path / "secret.key")
