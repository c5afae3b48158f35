"""A whole cluster under mixed load for a long time: nothing fails, nothing leaks, nothing is left lying about."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from tests.e2e.hostile_load import HostileLoad
from tests.e2e.model_load import BUCKET, ModelLoad, s3_client
from tests.e2e.process_samples import ProcessSamples, Sample, growth_bytes, metrics, slope, table
from tests.hostile.signer import Signer
from tests.hostile.target import prepare
from tests.support.real_cluster import RealCluster
from tests.support.soak_report import SoakReport

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SETTINGS: Final = {
    # Whatever is left over is to be gone by the end of the test.
    "master": {"sweep_interval_s": "5s", "grace_s": "5s", "orphan_after_s": "30s"},
    # Less than the load writes: blocks are evicted and demoted all the time.
    "worker": {"mem_quota": "32MiB", "ssd_quota": "96MiB"},
    # Stalled clients are cut; long enough for a machine that stalls itself.
    "proxy": {"min_progress_timeout_s": "10s", "header_timeout_s": "10s"},
}
_WARM_UP_S: Final = 20.0
_SETTLES_S: Final = 180.0
_GROWTH_BYTES: Final = 32 << 20
"""Of private memory in the second half. Allocators and pools go on filling for a while, by some MiB in either
direction; a leak of one kilobyte a request is more than this in an hour, and what leaks less shows in descriptors and
tasks.
"""
_SLACK: Final = {"fds": 8, "tasks": 8, "threads": 24}
"""A link or two between the processes may have been opened since, and thread pools fill; leaks come by the thousand."""
_EXPECTED: Final = frozenset({"501"})
"""The right answer to what the corpus asks of features that are not here."""


@pytest.mark.soak(share=8, cost_s=120)
def test_a_long_day_of_a_cluster(soak_s: float, soak_report: SoakReport) -> None:
    with RealCluster(one_port=False, settings=_SETTINGS) as cluster:
        user, mallory = cluster.user("soak"), cluster.user("mallory")
        signer = Signer(mallory.access_key, mallory.secret_key)
        ports = [urlsplit(endpoint).port or 0 for endpoint in cluster.endpoints]
        prepare(ports[0], signer)
        s3_client(cluster.endpoints, user).create_bucket(Bucket=BUCKET)
        load = ModelLoad(cluster.endpoints, user)
        hostile = HostileLoad(ports, signer, seed=int(time.time()) << 24)
        samples = ProcessSamples(cluster, interval_s=max(1.0, soak_s / 360))
        _run(load, hostile, min(_WARM_UP_S, soak_s / 4))
        before = _at_rest(samples)
        begun = time.monotonic()
        with samples:
            _run(load, hostile, soak_s)
        seconds = time.monotonic() - begun
        _check(load, hostile)
        after = _at_rest(samples, before)
        soak_report.note(
            load_seconds=round(seconds),
            operations=dict(sorted((load.done + hostile.done).items())),
            statuses=dict(sorted(samples.statuses().items())),
            private_growth_bytes={name: growth_bytes(series) for name, series in samples.series.items()},
            samples=samples.written(),
        )
        soak_report.write_beside(".md", _table(samples, before, after))
        _judge(samples, before, after)
        load.check_all()
        _empty(s3_client(cluster.endpoints, user))
        _empty(s3_client(cluster.endpoints, mallory))
        _empty(_anonymous(cluster))
        swept = _numbers(cluster, "zerohop_master_orphans_total", "zerohop_master_collected_total")
        _eventually(lambda: _left_behind(cluster))
        soak_report.note(**swept)


def _run(load: ModelLoad, hostile: HostileLoad, seconds: float) -> None:
    """Both loads for so long, or until something is wrong."""
    never = threading.Event()
    deadline = time.monotonic() + seconds
    with load, hostile:
        while time.monotonic() < deadline and not load.problems and not hostile.problems:
            never.wait(0.5)
    _check(load, hostile)


def _check(load: ModelLoad, hostile: HostileLoad) -> None:
    problems = load.problems + hostile.problems
    assert not problems, "\n".join(problems)


def _at_rest(samples: ProcessSamples, before: dict[str, Sample] | None = None) -> dict[str, Sample]:
    """Once the clients are gone; with `before`, once everybody holds what he held then, or too late."""
    _eventually(lambda: "connections" if samples.connections() else "")
    if before is not None:
        _eventually(lambda: _leaks(before, {name: samples.take(name) for name in samples.names}))
    return {name: samples.take(name) for name in samples.names}


def _leaks(before: dict[str, Sample], now: dict[str, Sample]) -> str:
    return "\n".join(
        f"{name} has {getattr(now[name], what)} {what}, and had {getattr(before[name], what)}"
        for name in before
        for what, slack in _SLACK.items()
        if getattr(now[name], what) > getattr(before[name], what) + slack
    )


def _judge(samples: ProcessSamples, before: dict[str, Sample], after: dict[str, Sample]) -> None:
    statuses = samples.statuses()
    unexpected = {status: count for status, count in statuses.items() if status[0] == "5"}
    assert unexpected.keys() <= _EXPECTED, statuses
    assert not samples.problems, samples.problems
    assert not samples.over_quota, samples.over_quota[:5]
    assert not _leaks(before, after)
    grown = {name: growth_bytes(series)[1] for name, series in samples.series.items()}
    assert max(grown.values()) < _GROWTH_BYTES, grown


def _table(samples: ProcessSamples, before: dict[str, Sample], after: dict[str, Sample]) -> str:
    def under_load(part: float) -> dict[str, Sample]:
        return {name: series[int((len(series) - 1) * part)] for name, series in samples.series.items()}

    columns = {
        "before, at rest": before,
        "a tenth through": under_load(0.1),
        "half through": under_load(0.5),
        "at the end": under_load(1.0),
        "after, at rest": after,
    }
    return table(columns)


def _anonymous(cluster: RealCluster) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=cluster.endpoint,
        region_name="us-east-1",
        config=Config(signature_version=UNSIGNED),
    )


def _empty(s3: S3Client) -> None:
    """Deletes everything that belongs to this user."""
    for bucket in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]:
        for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for upload in page.get("Uploads", ()):
                s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        for listed in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in listed.get("Contents", ()):
                s3.delete_object(Bucket=bucket, Key=entry["Key"])
        s3.delete_bucket(Bucket=bucket)


def _left_behind(cluster: RealCluster) -> str:
    """Contents in the under-store that nothing refers to: all of them, once everything was deleted."""
    left = [path for name in ("contents", "staging") for path in (cluster.under_store / name).rglob("*")]
    files = [str(path) for path in left if path.is_file()]
    return f"{len(files)} files are left in the under-store: {files[:5]}" if files else ""


def _numbers(cluster: RealCluster, *names: str) -> dict[str, int]:
    found = metrics(cluster, "master")
    return {name: int(found[name]) for name in names}


def _eventually(trouble: Callable[[], str]) -> None:
    """Until there is none."""
    never = threading.Event()
    deadline = time.monotonic() + _SETTLES_S
    while what := trouble():
        assert time.monotonic() < deadline, what
        never.wait(0.5)


def test_a_slope_is_not_moved_by_outliers() -> None:
    line = [(float(x), 3.0 * x + 100) for x in range(50)]
    spikes = [(x, y + (1e6 if x % 5 == 0 else 0)) for x, y in line]
    assert slope(line) == pytest.approx(3.0)
    assert slope(spikes) == pytest.approx(3.0, abs=1.0)
    assert slope([]) == 0.0
