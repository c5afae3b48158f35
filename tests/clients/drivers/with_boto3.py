"""boto3, with its transfer manager."""

from __future__ import annotations

import base64

import boto3
from boto3.s3.transfer import TransferConfig
from tests.clients.drivers.serving import Settings, serve


class Boto3:
    def __init__(self, settings: Settings) -> None:
        self._s3 = boto3.client("s3", endpoint_url=settings["url"], verify=settings["ca_file"] or None)
        self._bucket = settings["bucket"]
        part = settings["part_bytes"]
        self._in_parts = TransferConfig(multipart_threshold=part, multipart_chunksize=part)

    def make_bucket(self) -> None:
        self._s3.create_bucket(Bucket=self._bucket)

    def put(self, key: str, source: str) -> None:
        self._s3.upload_file(source, self._bucket, key)

    def put_in_parts(self, key: str, source: str) -> None:
        self._s3.upload_file(source, self._bucket, key, Config=self._in_parts)

    def get(self, key: str, target: str) -> None:
        self._s3.download_file(self._bucket, key, target)

    def get_range(self, key: str, start: int, stop: int) -> str:
        got = self._s3.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={start}-{stop - 1}")
        return base64.b64encode(got["Body"].read()).decode()

    def list(self, prefix: str) -> list[tuple[str, int]]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return [(entry["Key"], entry["Size"]) for page in pages for entry in page.get("Contents", [])]

    def copy(self, source: str, target: str) -> None:
        self._s3.copy_object(
            Bucket=self._bucket, Key=target, CopySource={"Bucket": self._bucket, "Key": source}
        )

    def delete(self, key: str) -> None:
        self._s3.delete_object(Bucket=self._bucket, Key=key)

    def close(self) -> None:
        self._s3.close()


if __name__ == "__main__":
    serve(Boto3)
