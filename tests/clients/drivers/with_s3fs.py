"""s3fs: fsspec's file system over aiobotocore."""

from __future__ import annotations

import base64

from s3fs import S3FileSystem
from tests.clients.drivers.serving import Settings, serve


class S3Fs:
    def __init__(self, settings: Settings) -> None:
        self._files = S3FileSystem(
            endpoint_url=settings["url"],
            use_listings_cache=False,
            client_kwargs={"verify": settings["ca_file"]} if settings["is_secure"] else {},
        )
        self._bucket = settings["bucket"]
        self._part_bytes = settings["part_bytes"]

    def make_bucket(self) -> None:
        self._files.mkdir(self._bucket)

    def _path(self, key: str) -> str:
        return f"{self._bucket}/{key}"

    def put(self, key: str, source: str) -> None:
        self._files.put_file(source, self._path(key))

    def put_in_parts(self, key: str, source: str) -> None:
        self._files.put_file(source, self._path(key), chunksize=self._part_bytes)

    def get(self, key: str, target: str) -> None:
        self._files.get_file(self._path(key), target)

    def get_range(self, key: str, start: int, stop: int) -> str:
        return base64.b64encode(self._files.cat_file(self._path(key), start=start, end=stop)).decode()

    def list(self, prefix: str) -> list[tuple[str, int]]:
        folder, _, start = prefix.rpartition("/")
        found = self._files.find(self._path(folder), prefix=start, detail=True)
        return [(path.removeprefix(self._path("")), info["size"]) for path, info in found.items()]

    def copy(self, source: str, target: str) -> None:
        self._files.copy(self._path(source), self._path(target))

    def delete(self, key: str) -> None:
        self._files.rm_file(self._path(key))


if __name__ == "__main__":
    serve(S3Fs)
