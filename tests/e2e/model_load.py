"""Programs that do all day what S3 clients do, each with keys of its own, and know what every answer must be."""

from __future__ import annotations

import http.client
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tests.support.cluster import User
from tests.support.proxies_in_turn import in_turn

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

__all__ = ["BUCKET", "ModelLoad", "s3_client"]

BUCKET: Final = "soak"
_KEYS: Final = 40  # of each program
_PART_BYTES: Final = 5 << 20
# Around the limits at which the data path changes: inline, one block, several blocks; the large ones are rarer.
_SIZES: Final = (0, 100, 16_384, 16_385, 70_000, 70_000, 300_000, 300_000, (4 << 20) + 1, 9_000_000)
_POLICIES: Final = ("", "cache_through", "through", "async_through")
_BYTES: Final = random.Random(20).randbytes(24 << 20)


@dataclass(frozen=True)
class _Body:
    """Some of the bytes that all bodies are cut from: two of them agree nowhere."""

    offset: int
    size: int

    @property
    def data(self) -> bytes:
        return _BYTES[self.offset : self.offset + self.size]


def s3_client(endpoints: Sequence[str], user: User) -> S3Client:
    """A client that speaks to the proxies in turn and never tries again: what fails is to be seen."""
    made = boto3.client(
        "s3",
        endpoint_url=endpoints[0],
        aws_access_key_id=user.access_key,
        aws_secret_access_key=user.secret_key,
        region_name="us-east-1",
        config=Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1, "mode": "standard"},
            read_timeout=120,
        ),
    )
    in_turn(made, endpoints)
    return made


class _Program:
    """One thread. `model` maps a key to its body; a key that is not in it does not exist."""

    def __init__(self, name: str, endpoints: Sequence[str], user: User, seed: int) -> None:
        self.name = name
        self.done: Counter[str] = Counter()
        self.model: dict[str, _Body] = {}
        self._dice = random.Random(seed)
        self._turn = itertools.cycle(urlsplit(endpoint).netloc for endpoint in endpoints)
        self._policy = ""
        self._s3 = s3_client(endpoints, user)
        self._s3.meta.events.register("before-call.s3.PutObject", self._choose_policy)
        self._operations: dict[Callable[[str], None], int] = {
            self._put: 30,
            self._get: 25,
            self._get_range: 10,
            self._head: 8,
            self._list: 6,
            self._delete: 6,
            self._copy: 5,
            self._presigned_get: 5,
            self._presigned_put: 3,
            self._put_if_absent: 3,
            self._upload: 3,
            self._abort: 1,
            self._delete_many: 1,
        }

    def step(self) -> None:
        """One operation and its check. Raises AssertionError, and the errors of boto3 and of the connection."""
        (operation,) = self._dice.choices(list(self._operations), list(self._operations.values()))
        operation(f"{self.name}/{self._dice.randrange(_KEYS)}")
        self.done[operation.__name__.strip("_")] += 1

    def check_all(self) -> None:
        """Everything is there as it was written, and nothing else."""
        self._list("")
        for key in list(self.model):
            self._get(key)

    def close(self) -> None:
        self._s3.close()

    def _choose_policy(self, params: dict[str, Any], **_event: object) -> None:
        if self._policy:
            params["headers"]["x-zerohop-write-policy"] = self._policy

    def _new_body(self, size: int | None = None) -> _Body:
        size = self._dice.choice(_SIZES) if size is None else size
        return _Body(self._dice.randrange(len(_BYTES) - size), size)

    def _put(self, key: str) -> None:
        body = self._new_body()
        self._policy = self._dice.choice(_POLICIES)
        self._s3.put_object(Bucket=BUCKET, Key=key, Body=body.data)
        self.model[key] = body

    def _put_if_absent(self, key: str) -> None:
        body = self._new_body(100)
        try:
            self._s3.put_object(Bucket=BUCKET, Key=key, Body=body.data, IfNoneMatch="*")
        except ClientError as error:
            _must_be("PreconditionFailed", error)
            assert key in self.model, f"{key} is not there, and yet it is"
        else:
            assert key not in self.model, f"{key} is there, and was not seen"
            self.model[key] = body

    def _get(self, key: str) -> None:
        try:
            got = self._s3.get_object(Bucket=BUCKET, Key=key)
        except ClientError as error:
            _must_be("NoSuchKey", error)
            assert key not in self.model, f"{key} is lost"
            return
        assert key in self.model, f"{key} was deleted"
        assert got["Body"].read() == self.model[key].data, f"{key} has other bytes"

    def _get_range(self, key: str) -> None:
        body = self.model.get(key)
        if body is None or not body.size:
            return
        start = self._dice.randrange(body.size)
        stop = self._dice.randint(start + 1, body.size)
        got = self._s3.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={start}-{stop - 1}")
        assert got["Body"].read() == body.data[start:stop], f"{key} has other bytes at {start}-{stop}"

    def _head(self, key: str) -> None:
        try:
            size = self._s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"]
        except ClientError as error:
            _must_be("404", error)
            assert key not in self.model, f"{key} is lost"
        else:
            assert key in self.model, f"{key} was deleted"
            assert size == self.model[key].size, key

    def _list(self, key: str) -> None:
        found: dict[str, int] = {}
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=f"{self.name}/", PaginationConfig={"PageSize": 7}
        )
        for page in pages:
            found |= {entry["Key"]: entry["Size"] for entry in page.get("Contents", ())}
        assert found == {key: body.size for key, body in self.model.items()}, f"{self.name}: the listing"

    def _delete(self, key: str) -> None:
        self._s3.delete_object(Bucket=BUCKET, Key=key)
        self.model.pop(key, None)

    def _delete_many(self, key: str) -> None:
        keys = {key, *self._dice.sample(sorted(self.model), min(3, len(self.model)))}
        done = self._s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": each} for each in keys]})
        assert {each["Key"] for each in done["Deleted"]} == keys
        for each in keys:
            self.model.pop(each, None)

    def _copy(self, key: str) -> None:
        if not self.model:
            return
        source = self._dice.choice(sorted(self.model))
        if source != key:
            self._s3.copy_object(Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": source})
            self.model[key] = self.model[source]

    def _upload(self, key: str) -> None:
        body = self._new_body(2 * _PART_BYTES + self._dice.choice((1, 70_000)))
        upload = self._s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        parts: list[CompletedPartTypeDef] = []
        for number, start in enumerate(range(0, body.size, _PART_BYTES), 1):
            piece = body.data[start : start + _PART_BYTES]
            part = self._s3.upload_part(
                Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, Body=piece
            )
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        self._s3.complete_multipart_upload(
            Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
        )
        self.model[key] = body

    def _abort(self, key: str) -> None:
        upload = self._s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        self._s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=1, Body=b"x" * 300_000)
        self._s3.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)

    def _presigned_get(self, key: str) -> None:
        url = self._s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key})
        status, body = self._ask("GET", url)
        if key in self.model:
            assert (status, body == self.model[key].data) == (200, True), (key, status, body[:300])
        else:
            assert status == 404, (key, status, body[:300])

    def _presigned_put(self, key: str) -> None:
        body = self._new_body()
        url = self._s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": key})
        status, answer = self._ask("PUT", url, body.data)
        assert status == 200, (key, status, answer[:300])
        self.model[key] = body

    def _ask(self, method: str, url: str, body: bytes = b"") -> tuple[int, bytes]:
        """At the next proxy, by the `Host` that was signed."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(next(self._turn), timeout=120)
        try:
            target = f"{parts.path}?{parts.query}"
            connection.request(method, target, body=body, headers={"Host": parts.netloc})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def _must_be(code: str, error: ClientError) -> None:
    assert error.response["Error"]["Code"] == code, error


@dataclass
class ModelLoad:
    """`programs` of them, while a `with` block runs; may be entered again, and then goes on with the same keys."""

    endpoints: Sequence[str]
    user: User
    programs: int = 4
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._programs = [
            _Program(f"p{number}", self.endpoints, self.user, number) for number in range(self.programs)
        ]
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> ModelLoad:
        self._stop.clear()
        self._threads = [threading.Thread(target=self._run, args=(one,)) for one in self._programs]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(300)
            assert not thread.is_alive(), "a request hangs"
        for program in self._programs:
            program.close()

    @property
    def done(self) -> Counter[str]:
        """Operations so far, by name."""
        return sum((program.done for program in self._programs), Counter())

    def check_all(self) -> None:
        """After the end: everything reads as it was written."""
        for program in self._programs:
            program.check_all()
            program.close()

    def _run(self, program: _Program) -> None:
        while not self._stop.is_set() and not self.problems:
            try:
                program.step()
            except (AssertionError, BotoCoreError, ClientError, OSError, http.client.HTTPException) as error:
                self.problems.append(f"{program.name}: {type(error).__name__}: {error}")
