"""Parquet files and Delta tables, written, listed, scanned by ranges and changed where they are."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.clients.access import Access
from tests.clients.catalogue import PREFIX
from tests.clients.driven import Driven, with_clients_python

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MANY_ROWS = 1_500_000  # 8 random bytes each: enough for an upload in parts


def write_table(path: Path, rows: int) -> Path:
    numbers = pa.array(range(rows))
    noise = pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(random.randbytes(8 * rows))])
    pq.write_table(pa.table({"id": numbers, "noise": noise}), path, compression="none")
    return path


@pytest.fixture(scope="module")
def few_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("tables") / "few.parquet", 1000)


@pytest.fixture(scope="module")
def many_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("tables") / "many.parquet", MANY_ROWS)


@pytest.fixture(
    params=[
        pytest.param(("access", ""), id="root"),
        pytest.param(("access", PREFIX), id="prefix"),
        pytest.param(("secure_access", ""), id="https", marks=pytest.mark.soak(cost_s=5)),
    ]
)
def lake(request: pytest.FixtureRequest, judge: S3Client, tmp_path: Path) -> Access:
    """A new bucket."""
    fixture, prefix = request.param
    access: Access = request.getfixturevalue(fixture)
    bucket = f"lake-{random.randbytes(6).hex()}"
    judge.create_bucket(Bucket=bucket)
    return replace(access, prefix=prefix, bucket=bucket, folder=str(tmp_path))


@pytest.fixture
def library(lake: Access) -> Iterator[Callable[[str], Driven]]:
    made: list[Driven] = []

    def connect(driver: str) -> Driven:
        made.append(with_clients_python(lake, driver))
        return made[-1]

    yield connect
    for one in made:
        one.close()


@pytest.mark.parametrize("driver", ["with_polars", "with_duckdb"])
def test_parquet_is_written_and_scanned(
    library: Callable[[str], Driven],
    lake: Access,
    judge: S3Client,
    few_rows: Path,
    many_rows: Path,
    driver: str,
) -> None:
    tables = library(driver)
    tables.ask("write", path="few/a.parquet", source=str(few_rows))
    tables.ask("write", path="few/b.parquet", source=str(few_rows))
    tables.ask("write", path="many.parquet", source=str(many_rows))
    assert "-" in judge.head_object(Bucket=lake.bucket, Key="many.parquet")["ETag"], (
        "it was not uploaded in parts"
    )
    for key, source in [("few/a.parquet", few_rows), ("many.parquet", many_rows)]:
        stored = judge.get_object(Bucket=lake.bucket, Key=key)["Body"].read()
        assert pq.read_table(io.BytesIO(stored)) == pq.read_table(source)
    assert tables.ask("total_from", pattern="few/*.parquet", first_id=998) == [4, 2 * (998 + 999)]
    last = MANY_ROWS - 1
    assert tables.ask("total_from", pattern="many.parquet", first_id=last) == [1, last]


def test_a_delta_table_grows_is_replaced_and_vacuumed(
    library: Callable[[str], Driven], lake: Access, judge: S3Client, few_rows: Path, many_rows: Path
) -> None:
    delta = library("with_deltalake")
    delta.ask("write", path="events", source=str(few_rows))
    delta.ask("write", path="events", source=str(many_rows))
    assert delta.ask("total_from", path="events", first_id=999) == [
        1 + MANY_ROWS - 999,
        999 + sum(range(999, MANY_ROWS)),
    ]
    assert delta.ask("overwrite_with_stale_tables", path="events", source=str(few_rows)) == 1
    assert delta.ask("versions", path="events") == 3
    assert delta.ask("total_from", path="events", first_id=999) == [1, 999]
    # Two files that were replaced, and the one whose commit came too late.
    assert delta.ask("vacuum", path="events") == 3
    listed = judge.list_objects_v2(Bucket=lake.bucket, Prefix="events/")["Contents"]
    assert len([entry for entry in listed if entry["Key"].endswith(".parquet")]) == 1
    assert delta.ask("total_from", path="events", first_id=999) == [1, 999]
