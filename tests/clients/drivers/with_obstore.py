"""obstore: the object_store of Rust, which polars and deltalake use as well."""

from __future__ import annotations

import base64
from pathlib import Path

import obstore
from obstore.store import S3Store
from tests.clients.drivers.serving import Settings, serve, trust_by_environment


class Obstore:
    def __init__(self, settings: Settings) -> None:
        trust_by_environment(settings)
        self._store = S3Store(
            settings["bucket"],
            endpoint=settings["url"],
            access_key_id=settings["access_key"],
            secret_access_key=settings["secret_key"],
            region=settings["region"],
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )
        self._part_bytes = settings["part_bytes"]

    def put(self, key: str, source: str) -> None:
        obstore.put(self._store, key, Path(source))

    def put_in_parts(self, key: str, source: str) -> None:
        obstore.put(self._store, key, Path(source), use_multipart=True, chunk_size=self._part_bytes)

    def get(self, key: str, target: str) -> None:
        Path(target).write_bytes(obstore.get(self._store, key).bytes())

    def get_range(self, key: str, start: int, stop: int) -> str:
        got = obstore.get_range(self._store, key, start=start, end=stop)
        return base64.b64encode(bytes(got)).decode()

    def list(self, prefix: str) -> list[tuple[str, int]]:
        found = obstore.list(self._store, prefix).collect()
        return [(entry["path"], entry["size"]) for entry in found]

    def copy(self, source: str, target: str) -> None:
        obstore.copy(self._store, source, target)

    def delete(self, key: str) -> None:
        obstore.delete(self._store, key)


if __name__ == "__main__":
    serve(Obstore)
