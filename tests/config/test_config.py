"""Configuration: file < environment < flags, and errors that say what to do."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from zerohop.cli.config_show import config as config_command
from zerohop.config import (
    AUTO,
    PROCESSES,
    Kind,
    MasterConfig,
    ProxyConfig,
    UpConfig,
    WorkerConfig,
    fields_of,
    format_value,
    load,
    resolve,
)
from zerohop.config.fields import parse_value
from zerohop.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "zerohop.toml"


def _error(struct: type[msgspec.Struct], file: Path | None = None, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(struct, file=file, environ=environ)
    return caught.value.message


def test_later_sources_win_and_are_named(file: Path) -> None:
    file.write_text('[proxy]\nport = 1\nregion = "moon"\nhost = "::1"\n')
    environ = {"ZEROHOP_PROXY_PORT": "2", "ZEROHOP_PROXY_REGION": "mars", "HOME": "/"}
    loaded = load(ProxyConfig, file=file, environ=environ, flags={"port": "3"})
    assert (loaded.config.port, loaded.config.region, loaded.config.host) == (3, "mars", "::1")
    assert loaded.origins["port"] == "flag --port"
    assert loaded.origins["region"] == "environment ZEROHOP_PROXY_REGION"
    assert loaded.origins["host"] == f"file {file} [proxy] host"
    assert loaded.origins["drain_s"] == "default"


def test_units_are_read_from_text_and_numbers(file: Path) -> None:
    file.write_text(
        '[master]\ninline_max_bytes = "16KiB"\ngrace_s = "5m"\nsweep_interval_s = 2\nlisten = ["unix:/a", "tls://h:1"]\n'
    )
    config = load(MasterConfig, file=file).config
    assert (config.inline_max_bytes, config.grace_s, config.sweep_interval_s) == (16384, 300, 2)
    assert config.listen == ("unix:/a", "tls://h:1")
    assert load(WorkerConfig, environ={"ZEROHOP_WORKER_WATERMARK_HIGH": "90%"}).config.watermark_high == 0.9


def test_what_all_processes_share_is_written_once(file: Path) -> None:
    file.write_text('[cluster]\nlog_format = "json"\nrpc_plaintext = true\n[worker]\nlog_format = "text"\n')
    assert load(MasterConfig, file=file).config.log_format == "json"
    worker = load(WorkerConfig, file=file).config
    assert (worker.log_format, worker.rpc_plaintext) == ("text", True)
    assert load(UpConfig, file=file).config == UpConfig()


def test_an_unknown_key_names_the_nearest_one(file: Path) -> None:
    file.write_text("[worker]\nmem_quoata = 1\n")
    assert (
        _error(WorkerConfig, file)
        == f"file {file}: [worker] has no key 'mem_quoata'; did you mean mem_quota?"
    )
    assert _error(MasterConfig, file), "every table of the file is checked, whichever process reads it"
    file.write_text("[wroker]\n")
    assert _error(MasterConfig, file) == f"file {file}: unknown table [wroker]; did you mean worker?"
    message = _error(WorkerConfig, ZEROHOP_WORKER_MEMQUOTA="1")
    assert "ZEROHOP_WORKER_MEMQUOTA" in message
    assert "did you mean ZEROHOP_WORKER_MEM_QUOTA?" in message
    assert _error(WorkerConfig, ZEROHOP_PORT="1"), "a variable without a table too"


def test_a_bound_is_shown_as_it_would_be_written() -> None:
    message = _error(MasterConfig, ZEROHOP_MASTER_BLOCK_SIZE_BYTES="2GiB")
    assert "too large" in message
    assert "at least 4KiB, at most 1GiB" in message
    assert "power of two" in _error(MasterConfig, ZEROHOP_MASTER_BLOCK_SIZE_BYTES="3MiB")
    assert "at most 65535" in _error(ProxyConfig, ZEROHOP_PROXY_PORT="65536")
    assert (
        load(MasterConfig, environ={"ZEROHOP_MASTER_BLOCK_SIZE_BYTES": "1GiB"}).config.block_size_bytes
        == 1 << 30
    )


def test_a_bad_value_names_source_key_and_what_was_expected(file: Path) -> None:
    file.write_text('[worker]\nmem_quota = "lots"\n')
    message = _error(WorkerConfig, file)
    assert f"file {file}: [worker] mem_quota: 'lots'" in message
    assert "expected a size" in message
    assert "environment: ZEROHOP_PROXY_PORT: 'http'" in _error(ProxyConfig, ZEROHOP_PROXY_PORT="http")


@pytest.mark.parametrize(
    ("struct", "environ"),
    [
        (ProxyConfig, {"ZEROHOP_PROXY_PORT": "65536"}),
        (ProxyConfig, {"ZEROHOP_PROXY_ANONYMOUS": "maybe"}),
        (ProxyConfig, {"ZEROHOP_PROXY_MAX_CONNECTIONS": "0"}),
        (MasterConfig, {"ZEROHOP_MASTER_LISTEN": "localhost"}),
        (MasterConfig, {"ZEROHOP_MASTER_BLOCK_SIZE_BYTES": "2KiB"}),
        (MasterConfig, {"ZEROHOP_MASTER_BLOCK_SIZE_BYTES": "3MiB"}),
        (MasterConfig, {"ZEROHOP_MASTER_BLOCK_SIZE_BYTES": "2GiB"}),
        (MasterConfig, {"ZEROHOP_MASTER_INLINE_MAX_BYTES": "2MiB"}),
        (UpConfig, {"ZEROHOP_UP_PORT": "65536"}),
        (UpConfig, {"ZEROHOP_PORT": "39999"}),
        (MasterConfig, {"ZEROHOP_MASTER_HEARTBEAT_S": "9s"}),
        (WorkerConfig, {"ZEROHOP_WORKER_WATERMARK_LOW": "99%"}),
        (WorkerConfig, {"ZEROHOP_CLUSTER_RPC_PLAINTEXT": "perhaps"}),
        (WorkerConfig, {"ZEROHOP_CLUSTER_RPC_TLS_CERT": "/cert.pem"}),
        (UpConfig, {"ZEROHOP_UP_PROXIES": "-1"}),
    ],
)
def test_values_that_cannot_be_used_are_refused(
    struct: type[msgspec.Struct], environ: dict[str, str]
) -> None:
    with pytest.raises(ConfigError):
        load(struct, environ=environ)


def test_a_file_that_is_missing_or_no_toml_is_an_error(file: Path) -> None:
    assert f"cannot read the configuration file {file}" in _error(MasterConfig, file)
    file.write_text("[master\n")
    assert "is not TOML" in _error(MasterConfig, file)
    file.write_text("master = 1\n")
    assert "must be a table" in _error(MasterConfig, file)


def test_the_secret_comes_from_a_private_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    secret.chmod(0o644)
    assert "chmod 600" in _error(WorkerConfig, ZEROHOP_CLUSTER_SECRET_FILE=str(secret))
    secret.chmod(0o600)
    config = load(WorkerConfig, environ={"ZEROHOP_CLUSTER_SECRET_FILE": str(secret)}).config
    assert config.cluster_secret == "hunter2"
    assert "hunter2" not in repr(config)
    assert "keep one" in _error(
        WorkerConfig, ZEROHOP_CLUSTER_SECRET="x", ZEROHOP_CLUSTER_SECRET_FILE=str(secret)
    )


def test_what_is_open_follows_from_the_machine(tmp_path: Path) -> None:
    environ = {"ZEROHOP_WORKER_DATA_DIR": str(tmp_path), "ZEROHOP_WORKER_MEM_DIR": str(tmp_path / "mem")}
    loaded = load(WorkerConfig, environ=environ)
    config = loaded.config
    assert config.ssd_dir == str(tmp_path / "ssd")
    assert config.mem_quota > 0
    assert 0 < config.ssd_quota < os.statvfs(tmp_path).f_frsize * os.statvfs(tmp_path).f_blocks
    assert config.hdd_quota == 0
    assert loaded.origins["mem_quota"].startswith("auto: ")
    assert resolve(config) == config
    assert not list(tmp_path.iterdir()), "reading a configuration creates nothing"


def test_clusters_on_one_machine_get_memory_tiers_of_their_own(tmp_path: Path) -> None:
    first, second = (resolve(WorkerConfig(data_dir=str(tmp_path / name))) for name in ("a", "b"))
    assert first.mem_dir != second.mem_dir
    assert first.mem_dir == resolve(WorkerConfig(data_dir=str(tmp_path / "a"))).mem_dir


@pytest.mark.parametrize("process", PROCESSES)
def test_every_field_is_documented_and_its_default_can_be_written(process: str) -> None:
    for name, field in fields_of(PROCESSES[process]).items():
        setting = field.setting
        assert setting.doc.endswith("."), name
        text = format_value(setting, field.default)
        if setting.kind is Kind.SECRET or (setting.kind is Kind.QUOTA and field.default == AUTO):
            continue
        assert parse_value(setting, text) == field.default, name


def _show(*arguments: str) -> Result:
    return CliRunner().invoke(config_command, ["show", *arguments], catch_exceptions=False)


def test_show_prints_values_with_their_origin(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('[cluster]\ncluster_secret = "hunter2"\n[proxy]\nport = 4000\n')
    monkeypatch.setenv("ZEROHOP_PROXY_DRAIN_S", "1500ms")
    text = _show("--config", str(file), "proxy").output
    rows = {line.split()[0]: line.split() for line in text.splitlines()}
    assert rows["port"][1:3] == ["4000", "file"]
    assert rows["drain_s"][1:] == ["1500ms", "environment", "ZEROHOP_PROXY_DRAIN_S"]
    assert rows["cluster_secret"][1] == "***"
    assert "hunter2" not in text

    shown = json.loads(_show("--config", str(file), "--json").output)
    assert set(shown) == set(PROCESSES)
    assert {"key": "port", "value": "4000"}.items() <= next(
        row for row in shown["proxy"] if row["key"] == "port"
    ).items()
    assert "hunter2" not in json.dumps(shown)


def test_the_reference_page_is_current() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
    printed = CliRunner().invoke(config_command, ["reference"], catch_exceptions=False).output
    assert page.read_text() == printed, "run `make format`"
