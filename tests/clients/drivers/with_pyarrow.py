"""pyarrow's own S3 file system, built on AWS's C++ SDK."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

from pyarrow import fs
from tests.clients.drivers.serving import Settings, serve


class PyArrow:
    def __init__(self, settings: Settings) -> None:
        self._files = fs.S3FileSystem(
            access_key=settings["access_key"],
            secret_key=settings["secret_key"],
            region=settings["region"],
            endpoint_override=settings["url"],
            allow_bucket_creation=True,
            tls_ca_file_path=settings["ca_file"],
        )
        self._bucket = settings["bucket"]

    def make_bucket(self) -> None:
        self._files.create_dir(self._bucket)

    def _path(self, key: str) -> str:
        return f"{self._bucket}/{key}"

    def put(self, key: str, source: str) -> None:
        with Path(source).open("rb") as origin, self._files.open_output_stream(self._path(key)) as target:
            shutil.copyfileobj(origin, target, 1 << 20)

    put_in_parts = put

    def get(self, key: str, target: str) -> None:
        with self._files.open_input_stream(self._path(key)) as origin, Path(target).open("wb") as sink:
            shutil.copyfileobj(origin, sink, 1 << 20)

    def get_range(self, key: str, start: int, stop: int) -> str:
        with self._files.open_input_file(self._path(key)) as origin:
            return base64.b64encode(origin.read_at(stop - start, start)).decode()

    def list(self, prefix: str) -> list[tuple[str, int]]:
        folder = self._path(prefix.rpartition("/")[0])
        found = self._files.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
        keys = ((info.path.removeprefix(self._path("")), info) for info in found if info.is_file)
        return [(key, info.size) for key, info in keys if key.startswith(prefix)]

    def copy(self, source: str, target: str) -> None:
        self._files.copy_file(self._path(source), self._path(target))

    def delete(self, key: str) -> None:
        self._files.delete_file(self._path(key))


if __name__ == "__main__":
    serve(PyArrow)
