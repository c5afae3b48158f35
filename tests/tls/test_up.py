"""`zerohop up` with a certificate: the endpoint that it names, and what does not start."""

from __future__ import annotations

import os
import re
import signal
import ssl
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from tests.support.cluster import Cluster
from tests.tls.certificates import Authority


@pytest.mark.parametrize("by", ["flags", "environment"])
def test_up_serves_https_and_says_so(
    cluster_factory: Callable[..., Cluster], issuer: trustme.CA, tmp_path: Path, by: str
) -> None:
    authority = Authority(issuer, tmp_path)
    authority.issue()
    cert, key = str(authority.certificate), str(authority.key)
    if by == "flags":
        cluster = cluster_factory(proxies=2, flags=(f"--tls-cert={cert}", f"--tls-key={key}"))
    else:
        cluster = cluster_factory(
            proxies=1, env={"ZEROHOP_PROXY_TLS_CERT": cert, "ZEROHOP_PROXY_TLS_KEY": key}
        )
    assert cluster.endpoint == f"https://127.0.0.1:{cluster.port}"
    assert cluster.running.endpoint == cluster.endpoint
    assert f"proxy-0 ready {cluster.endpoint}" in cluster.output
    context = ssl.create_default_context(cafile=authority.ca_file)
    with urllib.request.urlopen(f"{cluster.endpoint}/api/v1/s3/", context=context) as answer:
        assert answer.status == 200


def test_up_needs_both_files(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster", flags=(f"--tls-cert={tmp_path}/nothing.pem",))
    cluster.launch()
    assert cluster.wait_ended() != 0
    assert "tls_cert and tls_key go together" in cluster.log


def test_up_passes_a_hangup_on(
    cluster_factory: Callable[..., Cluster], issuer: trustme.CA, tmp_path: Path
) -> None:
    authority = Authority(issuer, tmp_path)
    authority.issue()
    flags = (f"--tls-cert={authority.certificate}", f"--tls-key={authority.key}")
    cluster = cluster_factory(proxies=1, flags=flags, env={"ZEROHOP_PROXY_TLS_CHECK_S": "1h"})
    authority.issue("second")
    os.kill(cluster.supervisor_pid, signal.SIGHUP)
    deadline_s = time.monotonic() + 60
    ignored = re.compile(r" (\S+) +SIGHUP ignored")
    while "the certificate has been renewed" not in cluster.log or len(ignored.findall(cluster.log)) < 2:
        assert time.monotonic() < deadline_s, cluster.log
    assert sorted(ignored.findall(cluster.log)) == ["master", "worker"]
    pem = ssl.get_server_certificate(("127.0.0.1", cluster.port))
    assert "second" in x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string()
