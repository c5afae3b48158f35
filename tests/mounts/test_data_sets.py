"""A Parquet data set on a mount, queried twice by several engines: the second time the origin is not asked at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyarrow import fs
from tests.clients.access import Access
from tests.clients.driven import with_clients_python
from tests.mounts.mounted import Mounted, Site
from tests.mounts.remote import Remote
from tests.support.cluster import Cluster

_FIRST = 1234


def _write(folder: Path, files: int, rows: int) -> tuple[int, int]:
    """Files of `rows` rows of 16 bytes that do not compress. Answers count and sum of the ids from `_FIRST` on."""
    random = np.random.default_rng(7)
    for number in range(files):
        ids = np.arange(number * rows, (number + 1) * rows, dtype=np.int64)
        noise = random.integers(-(2**63), 2**63 - 1, rows, dtype=np.int64)
        table = pa.table({"id": pa.array(ids), "noise": pa.array(noise)})
        pq.write_table(table, folder / f"part-{number:03}.parquet", compression="none", use_dictionary=False)
    total = files * rows
    return total - _FIRST, sum(range(_FIRST, total))


def _with_pyarrow(access: Access) -> list[int]:
    files = fs.S3FileSystem(
        access_key=access.access_key,
        secret_key=access.secret_key,
        region="us-east-1",
        scheme="http",
        endpoint_override=access.host,
    )
    found: Any = ds.dataset(f"{access.bucket}/table", filesystem=files, format="parquet")
    ids = found.to_table(filter=ds.field("id") >= _FIRST).column("id").to_numpy()
    return [len(ids), int(ids.sum())]


def _by_driver(driver: str) -> Callable[[Access], list[int]]:
    def query(access: Access) -> list[int]:
        client = with_clients_python(access, driver)
        try:
            answer: list[int] = client.ask("total_from", pattern="table/*.parquet", first_id=_FIRST)
            return answer
        finally:
            client.close()

    return query


_ENGINES = {
    "pyarrow": _with_pyarrow,
    "duckdb": _by_driver("with_duckdb"),
    "polars": _by_driver("with_polars"),
}


def _access(site: Site, bucket: str, folder: Path) -> Access:
    return Access(
        endpoint=site.cluster.endpoint,
        prefix="",
        access_key=site.user.access_key,
        secret_key=site.user.secret_key,
        bucket=bucket,
        folder=str(folder),
    )


def test_second_run_asks_the_origin_for_nothing(
    mount: Callable[..., Mounted], remote: Remote, tmp_path: Path
) -> None:
    mounted = mount(metadata_ttl_s=-1.0)
    expected = _write(tmp_path, 3, 150_000)
    files = sorted(tmp_path.glob("*.parquet"))
    for file in files:
        mounted.place(f"table/{file.name}", file.read_bytes())
    access = _access(mounted.site, mounted.name, tmp_path)
    for engine, query in _ENGINES.items():
        assert tuple(query(access)) == expected, engine
    for file in files:
        assert remote.fetched(f"table/{file.name}") <= file.stat().st_size
    remote.forget()
    for engine, query in _ENGINES.items():
        assert tuple(query(access)) == expected, engine
    assert remote.proxy.requests == []


@pytest.mark.soak(cost_s=180)
@pytest.mark.timeout(900)
def test_a_gibibyte_with_the_origin_gone(cluster_factory: Callable[..., Cluster], tmp_path: Path) -> None:
    folder = tmp_path / "origin"
    (folder / "table").mkdir(parents=True)
    expected = _write(folder / "table", 16, 4 << 20)
    assert sum(file.stat().st_size for file in (folder / "table").iterdir()) >= 1 << 30
    quotas = {"ZEROHOP_WORKER_MEM_QUOTA": "256MiB", "ZEROHOP_WORKER_SSD_QUOTA": "3GiB"}
    site = Site(cluster_factory(env=quotas))
    info = site.mount_folder(folder, metadata_ttl_s=-1.0, block_size_bytes=4 << 20)
    access = _access(site, info.bucket, tmp_path)
    for engine, query in _ENGINES.items():
        assert tuple(query(access)) == expected, engine
    folder.rename(tmp_path / "gone")
    for engine, query in _ENGINES.items():
        assert tuple(query(access)) == expected, engine
