"""Multipart uploads: what each step takes and refuses, and how they are listed."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest
from tests.s3_semantics.conftest import Refused
from tests.s3_semantics.signed_http import Reply, SignedHttp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIN_PART = 5 * 1024 * 1024
Part = tuple[int, str]


class Upload:
    """One upload of the key `k`, driven by raw requests."""

    def __init__(self, send: SignedHttp, bucket: str, **headers: str) -> None:
        self.path = f"/{bucket}/k"
        self.send = send
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        created = send("POST", self.path, "uploads", headers=sent)
        self.id = created.text("UploadId") or ""

    def part(self, number: object, body: bytes = b"x", **headers: str) -> Reply:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("PUT", self.path, f"partNumber={number}&uploadId={self.id}", headers=sent, body=body)

    def etag(self, number: int, body: bytes = b"x") -> str:
        return self.part(number, body).headers["etag"]

    def complete(self, parts: Sequence[Part] = (), body: str | None = None, **headers: str) -> Reply:
        inner = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{e}</ETag></Part>" for n, e in parts)
        document = f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>" if body is None else body
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("POST", self.path, f"uploadId={self.id}", headers=sent, body=document.encode())

    def abort(self) -> Reply:
        return self.send("DELETE", self.path, f"uploadId={self.id}")


@pytest.fixture
def upload(send: SignedHttp, bucket: str) -> Upload:
    return Upload(send, bucket)


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", ""])
def test_part_numbers(upload: Upload, number: str) -> None:
    reply = upload.part(number)
    assert (reply.status, reply.code, reply.text("ArgumentName")) == (400, "InvalidArgument", "partNumber")


def test_the_last_part_number(upload: Upload) -> None:
    assert upload.complete([(10_000, upload.etag(10_000))]).status == 200


def test_which_lists_complete_an_upload(upload: Upload) -> None:
    large = secrets.token_bytes(MIN_PART)
    one, two, small = upload.etag(1, large), upload.etag(2), upload.etag(3)
    refusals: list[tuple[list[Part], str]] = [
        ([(2, two), (1, one)], "InvalidPartOrder"),
        ([(1, one), (1, one)], "InvalidPartOrder"),
        ([(1, one), (4, one)], "InvalidPart"),
        ([(1, two)], "InvalidPart"),
        ([(1, one), (2, two), (3, small)], "EntityTooSmall"),
        ([(0, one)], "InvalidArgument"),
        ([(10_001, one)], "InvalidArgument"),
        ([], "MalformedXML"),
    ]
    for parts, code in refusals:
        reply = upload.complete(parts)
        assert (reply.status, reply.code) == (400, code)
    for body in (
        "",
        "<a",
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
    ):
        assert upload.complete(body=body).code == "MalformedXML"
    wrong = upload.complete([(1, two)])
    assert [wrong.text(name) for name in ("UploadId", "PartNumber", "ETag")] == [
        upload.id,
        "1",
        two.strip('"'),
    ]
    tiny = upload.complete([(2, two), (3, small)])
    assert [tiny.text(name) for name in ("PartNumber", "ProposedSize", "MinSizeAllowed", "ETag")] == [
        "2",
        "1",
        str(MIN_PART),
        two.strip('"'),
    ]
    done = upload.complete([(1, one), (3, small.strip('"'))])  # without part 2, and one ETag bare
    digests = b"".join(bytes.fromhex(tag.strip('"')) for tag in (one, small))
    assert (done.status, done.text("ETag")) == (200, f'"{hashlib.md5(digests).hexdigest()}-2"')
    assert done.text(
        "Location",
    ).endswith(upload.path)  # type: ignore[union-attr]
    assert upload.send("GET", upload.path).body == large + b"x"
    again = upload.complete([(1, one), (3, small)])
    assert (again.status, again.text("ETag")) == (200, done.text("ETag"))


def test_reading_parts(upload: Upload) -> None:
    large = secrets.token_bytes(MIN_PART)
    upload.complete([(1, upload.etag(1, large)), (7, upload.etag(7, b"last"))])
    last = upload.send("GET", upload.path, "partNumber=2")
    assert (last.status, last.body, last.headers["x-amz-mp-parts-count"]) == (206, b"last", "2")
    assert last.headers["content-range"] == f"bytes {MIN_PART}-{MIN_PART + 3}/{MIN_PART + 4}"
    first = upload.send("HEAD", upload.path, "partNumber=1")
    assert (first.status, first.headers["content-length"]) == (206, str(MIN_PART))
    assert upload.send("GET", upload.path, "partNumber=3").code == "InvalidPartNumber"
    asked = {"x-amz-object-attributes": "ObjectParts,ETag"}
    attributes = upload.send("GET", upload.path, "attributes", headers=asked)
    assert attributes.text("ObjectParts/PartsCount") == "2"


def test_an_upload_that_is_over(upload: Upload) -> None:
    tag = upload.etag(1)
    assert upload.abort().status == 204
    for reply in (upload.abort(), upload.part(1), upload.complete([(1, tag)])):
        assert (reply.status, reply.code, reply.text("UploadId")) == (404, "NoSuchUpload", upload.id)
    assert upload.send("GET", upload.path, f"uploadId={upload.id}").code == "NoSuchUpload"


def test_an_upload_of_another_key(upload: Upload, send_other: SignedHttp) -> None:
    query = f"uploadId={upload.id}"
    for method in ("GET", "DELETE"):
        assert upload.send(method, upload.path + "2", query).code == "NoSuchUpload"
    assert upload.send("PUT", upload.path + "2", f"partNumber=1&{query}", body=b"x").code == "NoSuchUpload"
    assert send_other("GET", upload.path, query).code == "AccessDenied"
    assert upload.send("PUT", upload.path, query).code == "InvalidArgument"
    assert upload.send("PUT", upload.path, "partNumber=1", body=b"x").code == "InvalidArgument"
    assert upload.send("PUT", upload.path, "partNumber=1&uploadId=", body=b"x").code == "NoSuchUpload"


def test_conditional_completion(send: SignedHttp, bucket: str) -> None:
    first, second = Upload(send, bucket), Upload(send, bucket)
    parts = [(1, first.etag(1))]
    second.etag(1)
    assert first.complete(parts, If_None_Match="*").status == 200
    refused = second.complete(parts, If_None_Match="*")
    assert (refused.status, refused.code, refused.text("Condition")) == (
        412,
        "PreconditionFailed",
        "If-None-Match",
    )
    assert second.complete(parts, If_Match='"other"').status == 412
    tag = send("HEAD", first.path).headers["etag"]
    assert second.complete(parts, If_Match=tag).status == 200


def test_listing_parts(upload: Upload) -> None:
    tags = [upload.etag(number) for number in (1, 2, 5)]

    def page(query: str = "") -> Reply:
        return upload.send("GET", upload.path, f"uploadId={upload.id}{query}")

    whole = page()
    assert whole.texts("Part/PartNumber") == ["1", "2", "5"]
    assert whole.texts("Part/ETag") == tags
    assert [
        whole.text(name) for name in ("PartNumberMarker", "NextPartNumberMarker", "MaxParts", "IsTruncated")
    ] == [
        "0",
        "5",
        "1000",
        "false",
    ]
    assert whole.text("Owner/DisplayName") == whole.text("Initiator/DisplayName") == "semantics"
    first = page("&max-parts=2")
    assert (first.text("NextPartNumberMarker"), first.text("IsTruncated")) == ("2", "true")
    assert page("&part-number-marker=2").texts("Part/PartNumber") == ["5"]
    assert page("&part-number-marker=5").texts("Part") == []
    assert (page("&max-parts=0").texts("Part"), page("&max-parts=9999").text("MaxParts")) == ([], "1000")
    for query in ("&max-parts=x", "&max-parts=-1", "&part-number-marker=x"):
        assert page(query).code == "InvalidArgument"


def test_listing_uploads(send: SignedHttp, s3: S3Client, bucket: str) -> None:
    names = ["l/a", "l/a", "l/b", "l/c/1", "l/c/2", "m m"]
    ids = [s3.create_multipart_upload(Bucket=bucket, Key=name)["UploadId"] for name in names]

    def page(query: str = "") -> Reply:
        return send("GET", f"/{bucket}", f"uploads{query}")

    def pairs(reply: Reply) -> list[tuple[str, str]]:
        return list(zip(reply.texts("Upload/Key"), reply.texts("Upload/UploadId"), strict=True))

    assert pairs(page()) == list(zip(names, ids, strict=True))
    found: list[tuple[str, str]] = []
    rest = ""
    for _ in names:
        one = page(f"&max-uploads=1{rest}")
        found += pairs(one)
        rest = f"&key-marker={one.text('NextKeyMarker')}&upload-id-marker={one.text('NextUploadIdMarker')}"
    assert found == pairs(page())
    assert page("&key-marker=l/a").texts("Upload/Key") == names[2:]
    assert page(f"&upload-id-marker={ids[0]}").texts("Upload/Key") == names  # nothing without a key-marker
    grouped = page("&prefix=l/&delimiter=/")
    assert grouped.texts("Upload/Key") == names[:3]
    assert grouped.texts("CommonPrefixes/Prefix") == ["l/c/"]
    encoded = page("&prefix=m&encoding-type=url")
    assert (encoded.texts("Upload/Key"), encoded.text("EncodingType")) == (["m+m"], "url")
    assert page("&max-uploads=0").texts("Upload") == []
    for query in ("&max-uploads=x", "&encoding-type=x"):
        assert page(query).code == "InvalidArgument"


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"x-amz-checksum-algorithm": "CRC32"}, "COMPOSITE"),
        ({"x-amz-checksum-algorithm": "crc32c", "x-amz-checksum-type": "FULL_OBJECT"}, "FULL_OBJECT"),
        ({"x-amz-checksum-algorithm": "CRC64NVME"}, "FULL_OBJECT"),
        ({"x-amz-checksum-algorithm": "SHA256"}, "COMPOSITE"),
        ({"x-amz-checksum-algorithm": "XXHASH3"}, "COMPOSITE"),
        ({"x-amz-checksum-algorithm": "SHA1", "x-amz-checksum-type": "FULL_OBJECT"}, None),
        ({"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE"}, None),
        ({"x-amz-checksum-algorithm": "ADLER32"}, None),
        ({"x-amz-checksum-type": "COMPOSITE"}, None),
    ],
)
def test_kinds_of_checksums(send: SignedHttp, bucket: str, headers: dict[str, str], kind: str | None) -> None:
    reply = send("POST", f"/{bucket}/k", "uploads", headers=headers)
    if kind is None:
        assert (reply.status, reply.code) == (400, "InvalidRequest")
    else:
        assert reply.headers["x-amz-checksum-algorithm"] == headers["x-amz-checksum-algorithm"].upper()
        assert reply.headers["x-amz-checksum-type"] == kind


def test_composite_checksums(send: SignedHttp, bucket: str) -> None:
    upload = Upload(send, bucket, x_amz_checksum_algorithm="SHA256")
    value = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
    part = upload.part(1, x_amz_checksum_sha256=value)
    assert part.headers["x-amz-checksum-sha256"] == value
    wrong_kind = upload.part(2, x_amz_checksum_crc32="jL3/Lw==")
    assert (wrong_kind.status, wrong_kind.code) == (400, "InvalidRequest")
    parts = [(1, part.headers["etag"])]
    assert upload.complete(parts, x_amz_checksum_type="FULL_OBJECT").code == "BadDigest"
    assert upload.complete(parts, x_amz_mp_object_size="2").code == "InvalidRequest"
    whole = base64.b64encode(hashlib.sha256(hashlib.sha256(b"x").digest()).digest()).decode() + "-1"
    assert upload.complete(parts, x_amz_checksum_sha256=value + "-1").code == "BadDigest"
    done = upload.complete(parts, x_amz_checksum_sha256=whole, x_amz_mp_object_size="1")
    assert (done.text("ChecksumSHA256"), done.text("ChecksumType")) == (whole, "COMPOSITE")
    head = send("HEAD", upload.path, headers={"x-amz-checksum-mode": "ENABLED"}).headers
    assert (head["x-amz-checksum-sha256"], head["x-amz-checksum-type"]) == (whole, "COMPOSITE")


def test_full_object_checksums(s3: S3Client, bucket: str, refused: Refused) -> None:
    where: dict[str, Any] = {"Bucket": bucket, "Key": "k"}
    bodies = [secrets.token_bytes(MIN_PART), b"end"]
    upload_id = s3.create_multipart_upload(**where, ChecksumAlgorithm="CRC64NVME")["UploadId"]
    parts: list[Any] = []
    for number, body in enumerate(bodies, 1):
        sent = s3.upload_part(
            **where, UploadId=upload_id, PartNumber=number, Body=body, ChecksumAlgorithm="CRC64NVME"
        )
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    single = s3.put_object(Bucket=bucket, Key="single", Body=b"".join(bodies), ChecksumAlgorithm="CRC64NVME")
    done = s3.complete_multipart_upload(**where, UploadId=upload_id, MultipartUpload={"Parts": parts})
    assert (done["ChecksumCRC64NVME"], done["ChecksumType"]) == (single["ChecksumCRC64NVME"], "FULL_OBJECT")


def test_the_checksum_that_s3_adds(send: SignedHttp, bucket: str) -> None:
    """Also where the parts declare another one, as boto3's do by default."""
    upload = Upload(send, bucket)
    parts = [(1, upload.part(1, b"x" * MIN_PART).headers["etag"])]
    declared = upload.part(2, b"x", x_amz_checksum_crc32="jNwWgw==")
    assert (declared.status, declared.headers["x-amz-checksum-crc32"]) == (200, "jNwWgw==")
    done = upload.complete([*parts, (2, declared.headers["etag"])])
    whole = send("PUT", f"/{bucket}/whole", body=b"x" * (MIN_PART + 1))
    assert done.text("ChecksumCRC64NVME") == whole.headers["x-amz-checksum-crc64nvme"]
    assert done.text("ChecksumType") == "FULL_OBJECT"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"x-amz-storage-class": "GOLD"}, 400, "InvalidStorageClass"),
        ({"x-amz-tagging": "a=b&a=c"}, 400, "InvalidArgument"),
        ({"x-amz-meta-a": "b" * 2048}, 400, "MetadataTooLarge"),
    ],
)
def test_creations_that_are_refused(
    send: SignedHttp, bucket: str, headers: dict[str, str], status: int, code: str
) -> None:
    reply = send("POST", f"/{bucket}/k", "uploads", headers=headers)
    assert (reply.status, reply.code) == (status, code)
    assert send("GET", f"/{bucket}", "uploads").texts("Upload") == []
