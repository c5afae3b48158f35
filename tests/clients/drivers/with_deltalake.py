"""deltalake: tables whose log relies on conditional writes."""

from __future__ import annotations

import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from tests.clients.drivers.serving import Settings, serve, trust_by_environment


class Delta:
    def __init__(self, settings: Settings) -> None:
        trust_by_environment(settings)
        self._folder = f"s3://{settings['bucket']}"
        self._storage = {
            "AWS_ENDPOINT_URL": settings["url"],
            "AWS_ACCESS_KEY_ID": settings["access_key"],
            "AWS_SECRET_ACCESS_KEY": settings["secret_key"],
            "AWS_REGION": settings["region"],
            "AWS_ALLOW_HTTP": "true",
        }

    def _table(self, path: str) -> DeltaTable:
        return DeltaTable(f"{self._folder}/{path}", storage_options=self._storage)

    def write(self, path: str, source: str) -> None:
        table = pq.read_table(source)
        write_deltalake(f"{self._folder}/{path}", table, mode="append", storage_options=self._storage)

    def total_from(self, path: str, first_id: int) -> list[float]:
        table = self._table(path).to_pyarrow_table(columns=["id"], filters=[("id", ">=", first_id)])
        return [table.num_rows, sum(table["id"].to_pylist())]

    def versions(self, path: str) -> int:
        return len(self._table(path).history())

    def overwrite_with_stale_tables(self, path: str, source: str) -> int:
        """Two writers that both saw the same version; returns how many of their commits succeeded."""
        table = pq.read_table(source)
        stale = [self._table(path), self._table(path)]
        return sum(self._overwrites(one, table) for one in stale)

    @staticmethod
    def _overwrites(stale: DeltaTable, table: object) -> bool:
        try:
            write_deltalake(stale, table, mode="overwrite")
        except CommitFailedError:
            return False
        return True

    def vacuum(self, path: str) -> int:
        removed = self._table(path).vacuum(
            retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True
        )
        return len(removed)


if __name__ == "__main__":
    serve(Delta)
