"""duckdb with its httpfs extension, which comes in a wheel and not from duckdb's own server."""

from __future__ import annotations

from pathlib import Path

import duckdb
import duckdb_ext
from tests.clients.drivers.serving import Settings, serve


class DuckDb:
    def __init__(self, settings: Settings) -> None:
        self._folder = f"s3://{settings['bucket']}"
        self._db = duckdb.connect()
        (extension,) = Path(duckdb_ext.__path__[0]).rglob("httpfs.duckdb_extension")
        self._db.load_extension(str(extension))
        if settings["is_secure"]:
            self._db.execute("SET enable_server_cert_verification = true")  # it is false by default
            self._db.execute(f"SET ca_cert_file = '{settings['ca_file']}'")
        # The size of a part is a ten-thousandth of this, and 5 MiB at least.
        self._db.execute("SET s3_uploader_max_filesize = '50GB'")
        self._db.execute(
            f"CREATE SECRET (TYPE s3, URL_STYLE 'path', USE_SSL {settings['is_secure']}, "
            f"ENDPOINT '{settings['host']}{settings['prefix']}', REGION '{settings['region']}', "
            f"KEY_ID '{settings['access_key']}', SECRET '{settings['secret_key']}')"
        )

    def write(self, path: str, source: str) -> None:
        self._db.execute(f"COPY (FROM '{source}') TO '{self._folder}/{path}' (FORMAT parquet)")

    def total_from(self, pattern: str, first_id: int) -> list[float]:
        row = self._db.execute(
            f"SELECT count(*), sum(id)::BIGINT FROM '{self._folder}/{pattern}' WHERE id >= {first_id}"
        ).fetchone()
        return list(row)


if __name__ == "__main__":
    serve(DuckDb)
