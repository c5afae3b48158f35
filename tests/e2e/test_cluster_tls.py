"""A cluster over `tls://`: certificates of the cluster's own authority on both sides, and a shared secret."""

from __future__ import annotations

import http.client
import os
import secrets
from pathlib import Path

import pytest
import trustme
from msgspec.structs import replace
from tests.support.real_cluster import RealCluster

from zerohop.config import WorkerConfig
from zerohop.errors import ConfigError
from zerohop.rpc.tls import rpc_client_tls, rpc_server_tls


def certificates(folder: Path, authority: trustme.CA, name: str) -> dict[str, str]:
    """The settings of a process with a certificate for 127.0.0.1 from that authority."""
    issued = authority.issue_cert("127.0.0.1")
    paths = {part: folder / f"{name}-{part}.pem" for part in ("cert", "key", "ca")}
    issued.cert_chain_pems[0].write_to_path(paths["cert"])
    issued.private_key_pem.write_to_path(paths["key"])
    authority.cert_pem.write_to_path(paths["ca"])
    return {f"rpc_tls_{part}": str(path) for part, path in paths.items()}


def get_and_put(cluster: RealCluster) -> None:
    body = os.urandom(5_000_000)
    for path, wanted in (("/tls", b""), ("/tls/k", body)):
        connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=30)
        connection.request(
            "PUT", path, body=wanted or None, headers={"x-zerohop-write-policy": "async_through"}
        )
        assert connection.getresponse().status == 200
        connection.close()
    for _ in range(4):  # a new connection each: both proxies, most likely
        connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=30)
        connection.request("GET", "/tls/k")
        assert connection.getresponse().read() == body
        connection.close()


def test_a_cluster_speaks_tls_and_admits_only_its_own(tmp_path: Path) -> None:
    authority = trustme.CA()
    shared = {"cluster_secret": secrets.token_hex(16), **certificates(tmp_path, authority, "cluster")}
    stranger = certificates(tmp_path, trustme.CA(), "stranger")
    with RealCluster(workers=2, scheme="tls", settings={"cluster": shared}) as cluster:
        get_and_put(cluster)
        assert "2 live, 0 lost" in cluster.cli("admin", "report").stdout
        for name, settings in (
            ("worker-8", {**shared, **stranger}),
            ("worker-9", {**shared, "cluster_secret": "not the cluster's"}),
        ):
            cluster.configure(name, cluster=settings)
            cluster.launch(name)
            cluster.wait_line(name, "the master does not take our heartbeat|PeerRejected|cluster secret")
            cluster.kill(name)
        assert "2 live, 0 lost" in cluster.cli("admin", "report").stdout


def test_certificates_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    good = certificates(tmp_path, trustme.CA(), "good")
    assert rpc_client_tls(WorkerConfig()) is None
    assert rpc_server_tls(replace(WorkerConfig(), **good)) is not None
    with pytest.raises(ConfigError, match="all three"):
        rpc_server_tls(WorkerConfig(rpc_tls_cert=good["rpc_tls_cert"]))
    with pytest.raises(ConfigError, match="cannot be used"):
        rpc_client_tls(replace(WorkerConfig(), **{**good, "rpc_tls_key": str(tmp_path / "missing")}))
