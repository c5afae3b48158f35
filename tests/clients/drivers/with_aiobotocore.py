"""aiobotocore: botocore on aiohttp."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

from aiobotocore.session import get_session
from tests.clients.drivers.serving import Entries, Settings, serve


class AioBotocore:
    def __init__(self, settings: Settings) -> None:
        self._runner = asyncio.Runner()
        self._context = get_session().create_client(
            "s3", endpoint_url=settings["url"], verify=settings["ca_file"] or None
        )
        self._s3 = self._runner.run(self._context.__aenter__())
        self._bucket = settings["bucket"]
        self._part_bytes = settings["part_bytes"]

    def make_bucket(self) -> None:
        self._runner.run(self._s3.create_bucket(Bucket=self._bucket))

    def put(self, key: str, source: str) -> None:
        with Path(source).open("rb") as body:
            self._runner.run(self._s3.put_object(Bucket=self._bucket, Key=key, Body=body))

    def put_in_parts(self, key: str, source: str) -> None:
        self._runner.run(self._upload(key, Path(source).read_bytes()))

    async def _upload(self, key: str, body: bytes) -> None:
        at = {"Bucket": self._bucket, "Key": key}
        at["UploadId"] = (await self._s3.create_multipart_upload(**at))["UploadId"]
        starts = range(0, len(body), self._part_bytes)
        parts = await asyncio.gather(
            *(
                self._s3.upload_part(**at, PartNumber=number, Body=body[start : start + self._part_bytes])
                for number, start in enumerate(starts, 1)
            )
        )
        listed = [{"PartNumber": number, "ETag": part["ETag"]} for number, part in enumerate(parts, 1)]
        await self._s3.complete_multipart_upload(**at, MultipartUpload={"Parts": listed})

    def get(self, key: str, target: str) -> None:
        Path(target).write_bytes(self._runner.run(self._read(key)))

    def get_range(self, key: str, start: int, stop: int) -> str:
        body = self._runner.run(self._read(key, Range=f"bytes={start}-{stop - 1}"))
        return base64.b64encode(body).decode()

    async def _read(self, key: str, **arguments: str) -> bytes:
        got = await self._s3.get_object(Bucket=self._bucket, Key=key, **arguments)
        async with got["Body"] as body:
            read: bytes = await body.read()
            return read

    def list(self, prefix: str) -> list[tuple[str, int]]:
        return self._runner.run(self._all(prefix))

    async def _all(self, prefix: str) -> Entries:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return [(entry["Key"], entry["Size"]) async for page in pages for entry in page.get("Contents", [])]

    def copy(self, source: str, target: str) -> None:
        origin = {"Bucket": self._bucket, "Key": source}
        self._runner.run(self._s3.copy_object(Bucket=self._bucket, Key=target, CopySource=origin))

    def delete(self, key: str) -> None:
        self._runner.run(self._s3.delete_object(Bucket=self._bucket, Key=key))

    def close(self) -> None:
        self._runner.run(self._context.__aexit__(None, None, None))
        self._runner.close()


if __name__ == "__main__":
    serve(AioBotocore)
