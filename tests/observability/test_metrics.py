"""What a running cluster exports: the documented list, in both formats, with numbers that add up."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from tests.observability.admin_http import ask
from tests.support.cluster import Cluster

from zerohop.cli.cluster_rates import Samples, parse

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "observability.md"
_ROW = re.compile(r"\| `([a-z_]+)` \| (counter|gauge|histogram) \| ([a-z, ]+|-) \| \S.* \|")
_SECTIONS = {"Proxy": "proxy-0", "Worker": "worker", "Master": "master"}


def _admin(cluster: Cluster, name: str) -> str:
    return f"unix:{cluster.running.run_dir}/{name}-admin.sock"


def _metrics(cluster: Cluster, name: str) -> Samples:
    return parse(ask(_admin(cluster, name), "/metrics").text)


def _curl(url: str, *arguments: str) -> str:
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "30", *arguments, url], capture_output=True, text=True, check=True
    )
    return done.stdout


def _documented(section: str) -> dict[str, tuple[str, set[str]]]:
    text = _DOCUMENT.read_text().partition(f"### {section}\n")[2].partition("\n#")[0]
    rows = [match for line in text.splitlines() if (match := _ROW.fullmatch(line))]
    return {row[1]: (row[2], set() if row[3] == "-" else set(row[3].split(", "))) for row in rows}


def _exported(text: str) -> dict[str, tuple[str, set[str]]]:
    found: dict[str, tuple[str, set[str]]] = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = (family.type, labels)
    return found


def test_the_documented_list_is_what_is_exported(cluster: Cluster) -> None:
    _curl(f"{cluster.endpoint}/documented-list", "-X", "PUT")
    for _ in range(4):  # both proxies answer some
        _curl(f"{cluster.endpoint}/documented-list/key", "-X", "PUT", "-d", "x")
        _curl(f"{cluster.endpoint}/documented-list/key")
    shared = _documented("Every process")
    assert shared
    for section, name in _SECTIONS.items():
        documented = shared | _documented(section)
        exported = _exported(ask(_admin(cluster, name), "/metrics").text)
        assert {key: kind for key, (kind, _) in exported.items()} == {
            key: kind for key, (kind, _) in documented.items()
        }, section
        for metric, (_, labels) in exported.items():
            assert not labels or labels == documented[metric][1], metric


def test_openmetrics_is_spoken_to_who_asks_for_it(cluster: Cluster) -> None:
    for name in _SECTIONS.values():
        answer = ask(_admin(cluster, name), "/metrics", accept="application/openmetrics-text; version=1.0.0")
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert list(openmetrics.text_string_to_metric_families(answer.text))


def test_requests_are_counted_by_operation_and_status(cluster: Cluster) -> None:
    def total(name: str, **labels: str) -> float:
        key = (f"zerohop_proxy_{name}", tuple(sorted(labels.items())))
        return sum(_metrics(cluster, f"proxy-{index}").get(key, 0.0) for index in range(2))

    bucket = f"{cluster.endpoint}/counted"
    _curl(bucket, "-X", "PUT")
    before = total("requests_total", operation="GetObject", status="200")
    missed = total("requests_total", operation="GetObject", status="404")
    received = total("received_bytes_total", operation="PutObject")
    sent = total("sent_bytes_total", operation="GetObject")
    inline = total("object_reads_total", source="INLINE")
    _curl(f"{bucket}/key", "-X", "PUT", "-d", "x" * 1000)
    for _ in range(5):
        assert _curl(f"{bucket}/key") == "x" * 1000
    refusal = len(_curl(f"{bucket}/nothing"))
    assert total("requests_total", operation="GetObject", status="200") == before + 5
    assert total("requests_total", operation="GetObject", status="404") == missed + 1
    assert total("received_bytes_total", operation="PutObject") == received + 1000
    assert total("sent_bytes_total", operation="GetObject") == sent + 5000 + refusal
    assert total("object_reads_total", source="INLINE") == inline + 5
    requests = total("request_seconds_count", operation="GetObject")
    assert requests == total("first_byte_seconds_bucket", operation="GetObject", le="+Inf")


def test_a_request_that_cannot_be_parsed_counts_too(cluster: Cluster) -> None:
    def refused() -> float:
        key = ("zerohop_proxy_requests_total", (("operation", "Unknown"), ("status", "400")))
        return sum(_metrics(cluster, f"proxy-{index}").get(key, 0.0) for index in range(2))

    before = refused()
    _curl(f"{cluster.endpoint}/x", "-X", "BAD METHOD")
    assert refused() == before + 1


def test_bytes_are_traced_from_the_under_store_to_memory(cluster_factory: Callable[..., Cluster]) -> None:
    cluster = cluster_factory(proxies=1)
    bucket = f"{cluster.endpoint}/traced"
    _curl(bucket, "-X", "PUT")
    body = cluster.folder / "body"
    body.write_bytes(b"z" * 300_000)
    _curl(f"{bucket}/key", "-T", str(body), "-H", "x-zerohop-write-policy: through")

    def get() -> str:
        head = _curl(f"{bucket}/key", "-D", "-", "-o", "/dev/null").lower()
        return head.partition("x-zerohop-source: ")[2].split()[0]

    assert [get(), get(), get()] == ["under", "mem", "mem"]
    worker = _metrics(cluster, "worker")
    assert worker["zerohop_worker_under_store_written_bytes_total", ()] == 300_000
    assert worker["zerohop_worker_under_store_read_bytes_total", ()] == 300_000
    assert worker["zerohop_worker_fetches_total", (("source", "UNDER"),)] == 1
    assert worker["zerohop_worker_misses_total", (("tier", "MEM"),)] == 1
    assert worker["zerohop_worker_tier_used_bytes", (("tier", "MEM"),)] >= 300_000
    assert worker["zerohop_worker_under_store_seconds_count", (("operation", "write"),)] == 1
    proxy = _metrics(cluster, "proxy-0")
    assert proxy["zerohop_proxy_object_reads_total", (("source", "UNDER"),)] == 1
    assert proxy["zerohop_proxy_object_reads_total", (("source", "MEM"),)] == 2
    assert proxy["zerohop_proxy_lent_blocks", ()] == 1
    master = _metrics(cluster, "master")
    assert master["zerohop_master_namespace_operations_total", (("operation", "lookup_object"),)] == 1
    assert master["zerohop_rpc_server_calls_total", (("operation", "lookup_object"), ("outcome", "ok"))] == 1
    assert proxy["zerohop_proxy_known_hits_total", ()] == 2
    assert proxy["zerohop_proxy_known_misses_total", ()] == 1
    assert master["zerohop_master_workers", (("state", "live"),)] == 1
