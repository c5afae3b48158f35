"""polars: Parquet written and scanned in place."""

from __future__ import annotations

import os

import polars as pl
from tests.clients.drivers.serving import Settings, serve, trust_by_environment


class Polars:
    def __init__(self, settings: Settings) -> None:
        os.environ["POLARS_UPLOAD_CHUNK_SIZE"] = str(settings["part_bytes"])  # read at the first upload
        trust_by_environment(settings)
        self._folder = f"s3://{settings['bucket']}"
        self._storage = {
            "aws_endpoint_url": settings["url"],
            "aws_access_key_id": settings["access_key"],
            "aws_secret_access_key": settings["secret_key"],
            "aws_region": settings["region"],
            "aws_allow_http": "true",
        }

    def write(self, path: str, source: str) -> None:
        table = pl.read_parquet(source)
        table.write_parquet(f"{self._folder}/{path}", storage_options=self._storage)

    def total_from(self, pattern: str, first_id: int) -> list[float]:
        table = pl.scan_parquet(f"{self._folder}/{pattern}", storage_options=self._storage)
        kept = table.filter(pl.col("id") >= first_id).select(pl.len(), pl.col("id").sum().alias("total"))
        return list(kept.collect().row(0))


if __name__ == "__main__":
    serve(Polars)
