"""Random S3 operations against a real cluster agree with a plain dictionary."""

from __future__ import annotations

import hashlib
import random
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from tests.support.cluster import Cluster
from tests.support.soak_report import SoakReport

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEYS = st.sampled_from(["a", "a/", "a/b", "a//b", "a/b/c", "b", "b/ü", "z z", "%2F", "."])
# Around the limits at which the data path changes: inline, one block, several blocks.
SIZES = st.sampled_from([0, 1, 16384, 16385, 70_000, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 9 << 20])
DELIMITERS = st.sampled_from(["", "/", "b", "//"])
PREFIXES = st.sampled_from(["", "a", "a/", "b/", "nothing"])


def payload(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


class S3AgainstADictionary(RuleBasedStateMachine):
    """`self.model` maps each key to (body, ETag); uploads map ids to (key, parts by number)."""

    uploads = Bundle("uploads")
    client: S3Client

    @initialize()
    def make_bucket(self) -> None:
        self.bucket = f"model-{random.SystemRandom().randbytes(8).hex()}"
        self.client.create_bucket(Bucket=self.bucket)
        self.model: dict[str, tuple[bytes, str]] = {}
        self.open: dict[str, tuple[str, dict[int, bytes]]] = {}

    @rule(key=KEYS, size=SIZES, seed=st.integers(0, 5))
    def put(self, key: str, size: int, seed: int) -> None:
        body = payload(seed, size)
        etag = self.client.put_object(Bucket=self.bucket, Key=key, Body=body)["ETag"]
        assert etag == f'"{hashlib.md5(body).hexdigest()}"'
        self.model[key] = (body, etag)

    @rule(key=KEYS, seed=st.integers(0, 5), want_absent=st.booleans())
    def put_if(self, key: str, seed: int, want_absent: bool) -> None:
        body = payload(seed, 10)
        condition = {"IfNoneMatch": "*"} if want_absent else {"IfMatch": f'"{hashlib.md5(body).hexdigest()}"'}
        holds = (
            (key not in self.model)
            if want_absent
            else self.model.get(key, (b"", ""))[1] == condition["IfMatch"]
        )
        done, code = self._try("put_object", Key=key, Body=body, **condition)
        if holds:
            self.model[key] = (body, done["ETag"])
        else:
            assert code == (
                "NoSuchKey" if not want_absent and key not in self.model else "PreconditionFailed"
            )

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=key)
        self.model.pop(key, None)

    @rule(source=KEYS, to=KEYS)
    def copy(self, source: str, to: str) -> None:
        where = {"Bucket": self.bucket, "Key": source}
        directive = {"MetadataDirective": "REPLACE"} if source == to else {}
        _, code = self._try("copy_object", Key=to, CopySource=where, **directive)
        assert code == ("" if source in self.model else "NoSuchKey")
        if source in self.model:
            body, _ = self.model[source]
            self.model[to] = (body, self.client.head_object(Bucket=self.bucket, Key=to)["ETag"])

    @rule(target=uploads, key=KEYS)
    def create_upload(self, key: str) -> str:
        upload = self.client.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"]
        self.open[upload] = (key, {})
        return upload

    @rule(upload=uploads, number=st.sampled_from([1, 2, 7]), seed=st.integers(0, 5), last=st.booleans())
    def upload_part(self, upload: str, number: int, seed: int, last: bool) -> None:
        if upload not in self.open:
            return
        key, parts = self.open[upload]
        body = payload(seed, 17 if last else 5 << 20)
        self.client.upload_part(Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)
        parts[number] = body

    @rule(upload=consumes(uploads), drop_first=st.booleans())
    def complete(self, upload: str, drop_first: bool) -> None:
        key, parts = self.open.pop(upload)
        numbers = sorted(parts)[1:] if drop_first else sorted(parts)
        listed = [{"PartNumber": n, "ETag": f'"{hashlib.md5(parts[n]).hexdigest()}"'} for n in numbers]
        done, code = self._try(
            "complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload={"Parts": listed}
        )
        if not numbers or any(len(parts[n]) < 5 << 20 for n in numbers[:-1]):
            assert code == ("EntityTooSmall" if numbers else "MalformedXML")
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)
            return
        digests = b"".join(hashlib.md5(parts[n]).digest() for n in numbers)
        assert done["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-{len(numbers)}"'
        self.model[key] = (b"".join(parts[n] for n in numbers), done["ETag"])

    @rule(key=KEYS, start=st.integers(0, 10 << 20), length=st.integers(1, 5 << 20))
    def read_range(self, key: str, start: int, length: int) -> None:
        got, code = self._try("get_object", Key=key, Range=f"bytes={start}-{start + length - 1}")
        if key not in self.model:
            assert code == "NoSuchKey"
        elif start >= len(self.model[key][0]):
            assert code == "InvalidRange"
        else:
            assert got["Body"].read() == self.model[key][0][start : start + length]

    @rule(prefix=PREFIXES, delimiter=DELIMITERS, page=st.integers(1, 4))
    def list_pages(self, prefix: str, delimiter: str, page: int) -> None:
        keys: list[str] = []
        groups: list[str] = []
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, Delimiter=delimiter, PaginationConfig={"PageSize": page}
        )
        for found in pages:
            keys += [entry["Key"] for entry in found.get("Contents", [])]
            groups += [group["Prefix"] for group in found.get("CommonPrefixes", [])]
            assert found["KeyCount"] <= page
        wanted_keys, wanted_groups = self._listing(prefix, delimiter)
        assert (keys, groups) == (wanted_keys, wanted_groups)

    def _try(self, operation: str, **arguments: Any) -> tuple[Any, str]:
        """The answer and "", or None and the error code of S3."""
        try:
            return getattr(self.client, operation)(Bucket=self.bucket, **arguments), ""
        except ClientError as error:
            return None, error.response["Error"]["Code"]

    def _listing(self, prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
        keys: list[str] = []
        groups: list[str] = []
        for key in sorted(self.model, key=lambda name: name.encode()):
            if not key.startswith(prefix):
                continue
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                keys.append(key)
            elif key[: cut + len(delimiter)] not in groups:
                groups.append(key[: cut + len(delimiter)])
        return keys, groups

    @invariant()
    def everything_reads_as_written(self) -> None:
        for key, (body, etag) in getattr(self, "model", {}).items():
            got = self.client.get_object(Bucket=self.bucket, Key=key)
            assert got["ETag"] == etag
            assert got["Body"].read() == body

    def teardown(self) -> None:
        for key in self.model:
            self.client.delete_object(Bucket=self.bucket, Key=key)
        self.client.delete_bucket(Bucket=self.bucket)


@pytest.fixture
def machine(cluster: Cluster) -> type[S3AgainstADictionary]:
    user = cluster.user("model-user")
    made = boto3.client(
        "s3",
        endpoint_url=cluster.endpoint,
        aws_access_key_id=user.access_key,
        aws_secret_access_key=user.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )
    return type("Bound", (S3AgainstADictionary,), {"client": made})


def _run(machine: type[S3AgainstADictionary], examples: int, steps: int) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_random_operations_agree_with_a_dictionary(machine: type[S3AgainstADictionary]) -> None:
    _run(machine, examples=8, steps=25)
    assert issubclass(machine, S3AgainstADictionary)


@pytest.mark.soak(share=1, cost_s=30)
def test_many_random_operations_agree_with_a_dictionary(
    machine: type[S3AgainstADictionary], soak_s: float, soak_report: SoakReport
) -> None:
    deadline, examples = time.monotonic() + soak_s, 0
    while not examples or time.monotonic() < deadline:
        _run(machine, examples=5, steps=60)
        examples += 5
    soak_report.note(examples=examples)
