"""minio-py."""

from __future__ import annotations

import base64

from minio import Minio
from minio.commonconfig import CopySource
from tests.clients.drivers.serving import Settings, serve
from urllib3 import PoolManager


class MinioPy:
    def __init__(self, settings: Settings) -> None:
        self._s3 = Minio(
            settings["host"],
            access_key=settings["access_key"],
            secret_key=settings["secret_key"],
            secure=settings["is_secure"],
            http_client=PoolManager(ca_certs=settings["ca_file"]) if settings["is_secure"] else None,
        )
        self._bucket = settings["bucket"]
        self._part_bytes = settings["part_bytes"]

    def make_bucket(self) -> None:
        self._s3.make_bucket(bucket_name=self._bucket)

    def put(self, key: str, source: str) -> None:
        self._s3.fput_object(bucket_name=self._bucket, object_name=key, file_path=source)

    def put_in_parts(self, key: str, source: str) -> None:
        self._s3.fput_object(
            bucket_name=self._bucket, object_name=key, file_path=source, part_size=self._part_bytes
        )

    def get(self, key: str, target: str) -> None:
        self._s3.fget_object(bucket_name=self._bucket, object_name=key, file_path=target)

    def get_range(self, key: str, start: int, stop: int) -> str:
        got = self._s3.get_object(
            bucket_name=self._bucket, object_name=key, offset=start, length=stop - start
        )
        try:
            return base64.b64encode(got.read()).decode()
        finally:
            got.close()
            got.release_conn()

    def list(self, prefix: str) -> list[tuple[str, int]]:
        found = self._s3.list_objects(bucket_name=self._bucket, prefix=prefix, recursive=True)
        return [(entry.object_name, entry.size) for entry in found]

    def copy(self, source: str, target: str) -> None:
        origin = CopySource(bucket_name=self._bucket, object_name=source)
        self._s3.copy_object(bucket_name=self._bucket, object_name=target, source=origin)

    def delete(self, key: str) -> None:
        self._s3.remove_object(bucket_name=self._bucket, object_name=key)


if __name__ == "__main__":
    serve(MinioPy)
