"""Lines of what must cost metadata only: completing an upload of 10,000 parts, and copying an object of 5 GiB.

The parts are made by UploadPartCopy of whole objects, which is by reference, too; so no such bytes are ever uploaded.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from zerohop_bench.http_exchanges import exchanges
from zerohop_bench.http_load import LoadFailed, request_once
from zerohop_bench.process_tree import io_bytes
from zerohop_bench.results import OURS, Figure
from zerohop_bench.servers import BUCKET
from zerohop_bench.stage import MIB, Stage
from zerohop_bench.zerohop_servers import Zerohop

__all__ = ["complete", "copy", "moved_bytes"]

_PART_BYTES: Final = 5 * MIB  # the least that S3 takes for a part
_COPIED_PART_BYTES: Final = 64 * MIB
_COPIES: Final = 5
_TIMEOUT_S: Final = 120.0


class _Found(NamedTuple):
    seconds: tuple[float, ...]
    moved_bytes: tuple[int, ...]
    """Read and written by the worker meanwhile: all bytes of contents pass through it."""


def complete(stage: Stage) -> tuple[Figure, ...]:
    """Seconds of one CompleteMultipartUpload."""
    return (Figure(OURS, _completion(stage).seconds),)


def copy(stage: Stage) -> tuple[Figure, ...]:
    """Seconds of CopyObject."""
    return (Figure(OURS, _copy(stage).seconds),)


def moved_bytes(stage: Stage) -> tuple[Figure, ...]:
    """Bytes that the worker has read and written during each of both."""
    return (Figure(OURS, (*_completion(stage).moved_bytes, *_copy(stage).moved_bytes)),)


def _completion(stage: Stage) -> _Found:
    def find() -> _Found:
        upload = _Upload(stage, "assembled", stage.plan.parts, _PART_BYTES)
        return _measured(stage.ours, [upload.complete])

    return stage.once("completion", find)


def _copy(stage: Stage) -> _Found:
    def find() -> _Found:
        parts = max(1, stage.plan.copied_bytes // _COPIED_PART_BYTES)
        _Upload(stage, "vast", parts, _COPIED_PART_BYTES).complete()
        server = stage.ours

        def copy_to(key: str) -> None:
            headers = {"x-amz-copy-source": f"/{BUCKET}/vast"}
            head = server.head("PUT", key, headers=headers, length_bytes=0)
            _checked(request_once(server.address, head, timeout_s=_TIMEOUT_S))

        return _measured(server, [lambda n=n: copy_to(f"copy-{n}") for n in range(_COPIES)])  # type: ignore[misc]

    return stage.once("copy", find)


class _Upload:
    """A multipart upload whose parts are all there: each is a reference to the same object."""

    def __init__(self, stage: Stage, key: str, parts: int, part_bytes: int) -> None:
        self._server, self._key = stage.ours, key
        body = os.urandom(part_bytes)
        self._etags = [hashlib.md5(body, usedforsecurity=False).hexdigest()] * parts
        source = f"part-of-{part_bytes}"
        self._server.store(source, body)
        head = self._server.head("POST", key, query={"uploads": ""}, length_bytes=0)
        said = re.search(rb"<UploadId>([^<]+)", request_once(self._server.address, head))
        if said is None:
            raise LoadFailed("no upload id")
        self._upload_id = said[1].decode()
        requests = [self._part(number, source) for number in range(1, parts + 1)]
        work = exchanges(
            self._server.address, requests, seconds=_TIMEOUT_S, cpu=stage.load_cpu, connections=8
        )
        if work.units != parts:
            raise LoadFailed(f"{work.units} of {parts} parts were copied in {_TIMEOUT_S:.0f} s")

    def complete(self) -> None:
        """Completes it. Raises LoadFailed."""
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in enumerate(self._etags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        query = {"uploadId": self._upload_id}
        head = self._server.head("POST", self._key, query=query, length_bytes=len(body))
        _checked(request_once(self._server.address, head, body, timeout_s=_TIMEOUT_S))

    def _part(self, number: int, source: str) -> bytes:
        return self._server.head(
            "PUT",
            self._key,
            query={"partNumber": str(number), "uploadId": self._upload_id},
            headers={"x-amz-copy-source": f"/{BUCKET}/{source}"},
            length_bytes=0,
        )


def _checked(body: bytes) -> None:
    """An operation that took long may have begun its 200 before it failed."""
    if b"<Error>" in body or b"<ETag>" not in body:
        raise LoadFailed(f"no result: {body[:300]!r}")


def _measured(server: Zerohop, works: Sequence[Callable[[], None]]) -> _Found:
    seconds: list[float] = []
    moved: list[int] = []
    worker = [server.pid_of("worker")]
    for work in works:
        before, started = io_bytes(worker), time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
        moved.append(io_bytes(worker) - before)
    return _Found(tuple(seconds), tuple(moved))
