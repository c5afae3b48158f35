"""boto 2, which signs with SigV2."""

from __future__ import annotations

import base64
import io
from functools import partial
from http.client import HTTPSConnection
from pathlib import Path
from ssl import create_default_context

from tests.clients.drivers.serving import Settings, serve
from tests.support.boto2 import make_boto_importable

make_boto_importable()

from boto.s3.connection import OrdinaryCallingFormat, S3Connection  # noqa: E402


class Boto:
    def __init__(self, settings: Settings) -> None:
        host, _, port = settings["host"].partition(":")
        # Its own way to check certificates ends with Python 3.11, and knows no names that are addresses.
        trust = create_default_context(cafile=settings["ca_file"]) if settings["is_secure"] else None
        self._connection = S3Connection(
            settings["access_key"],
            settings["secret_key"],
            host=host,
            port=int(port),
            path=settings["prefix"] or "/",
            is_secure=settings["is_secure"],
            https_connection_factory=(partial(HTTPSConnection, port=int(port), context=trust), ())
            if trust
            else None,
            calling_format=OrdinaryCallingFormat(),
        )
        self._name = settings["bucket"]
        self._part_bytes = settings["part_bytes"]

    def make_bucket(self) -> None:
        self._connection.create_bucket(self._name)

    @property
    def _bucket(self):  # type: ignore[no-untyped-def]
        return self._connection.get_bucket(self._name, validate=False)

    def put(self, key: str, source: str) -> None:
        self._bucket.new_key(key).set_contents_from_filename(source)

    def put_in_parts(self, key: str, source: str) -> None:
        body = Path(source).read_bytes()
        upload = self._bucket.initiate_multipart_upload(key)
        for number, at in enumerate(range(0, len(body), self._part_bytes), 1):
            upload.upload_part_from_file(io.BytesIO(body[at : at + self._part_bytes]), number)
        upload.complete_upload()

    def get(self, key: str, target: str) -> None:
        self._bucket.get_key(key).get_contents_to_filename(target)

    def get_range(self, key: str, start: int, stop: int) -> str:
        headers = {"Range": f"bytes={start}-{stop - 1}"}
        body = self._bucket.get_key(key).get_contents_as_string(headers=headers)
        return base64.b64encode(body).decode()

    def list(self, prefix: str) -> list[tuple[str, int]]:
        return [(key.name, key.size) for key in self._bucket.list(prefix)]

    def copy(self, source: str, target: str) -> None:
        self._bucket.copy_key(target, self._name, source)

    def delete(self, key: str) -> None:
        self._bucket.delete_key(key)


if __name__ == "__main__":
    serve(Boto)
