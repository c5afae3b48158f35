"""DeleteObjects: what its document may hold, and what is told of each key."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import pytest
from tests.s3_semantics.signed_http import Reply, SignedHttp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def listed(*keys: str, more: str = "") -> str:
    return "".join(f"<Object><Key>{escape(key)}</Key>{more}</Object>" for key in keys)


def delete(
    send: SignedHttp, bucket: str, inner: str, *, headers: dict[str, str] | None = None, root: str = "Delete"
) -> Reply:
    body = f"<{root}>{inner}</{root}>".encode()
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    return send("POST", f"/{bucket}", "delete", headers=headers or {"Content-MD5": digest}, body=body)


def test_each_key_is_told_of(send: SignedHttp, s3: S3Client, bucket: str) -> None:
    odd = "a b&<>\U0001f600"
    for key in ("k", odd):
        s3.put_object(Bucket=bucket, Key=key)
    reply = delete(send, bucket, listed("k", "none", odd))
    assert (reply.xml.tag, reply.texts("Deleted/Key"), reply.texts("Error")) == (
        "DeleteResult",
        ["k", "none", odd],
        [],
    )
    assert send("GET", f"/{bucket}").texts("Contents") == []


def test_quietly(send: SignedHttp, s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    failing = listed("k", more='<ETag>"other"</ETag>')
    reply = delete(send, bucket, f"<Quiet>true</Quiet>{listed('none')}{failing}")
    assert reply.texts("Deleted") == []
    assert (reply.text("Error/Key"), reply.text("Error/Code")) == ("k", "PreconditionFailed")
    assert send("HEAD", f"/{bucket}/k").status == 200


def test_versions(send: SignedHttp, s3: S3Client, bucket: str) -> None:
    for key in ("k", "l"):
        s3.put_object(Bucket=bucket, Key=key)
    null, unknown = "<VersionId>null</VersionId>", "<VersionId>short</VersionId>"
    reply = delete(send, bucket, listed("k", more=null) + listed("l", more=unknown))
    assert (reply.texts("Deleted/Key"), reply.text("Deleted/VersionId")) == (["k"], "null")
    assert [reply.text(f"Error/{name}") for name in ("Key", "VersionId", "Code")] == [
        "l",
        "short",
        "NoSuchVersion",
    ]
    assert send("GET", f"/{bucket}").texts("Contents/Key") == ["l"]


def test_a_thousand(send: SignedHttp, bucket: str) -> None:
    keys = [str(number) for number in range(1001)]
    assert delete(send, bucket, listed(*keys[:1000])).texts("Deleted/Key") == keys[:1000]
    assert delete(send, bucket, listed(*keys)).code == "MalformedXML"


@pytest.mark.parametrize(
    ("inner", "headers", "root", "code"),
    [
        ("", None, "Delete", "MalformedXML"),
        (listed(""), None, "Delete", "MalformedXML"),
        ("<Colour/>" + listed("k"), None, "Delete", "MalformedXML"),
        ("<Quiet>perhaps</Quiet>" + listed("k"), None, "Delete", "MalformedXML"),
        (listed("k"), None, "Deletes", "MalformedXML"),
        ("<Object>", None, "Delete", "MalformedXML"),
        (listed("k"), {"x-amz-unrelated": "1"}, "Delete", "InvalidRequest"),
        (listed("k"), {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, "Delete", "BadDigest"),
        (listed("k"), {"Content-MD5": "x"}, "Delete", "InvalidDigest"),
        (listed("k"), {"x-amz-checksum-crc32": "AAAAAA=="}, "Delete", "BadDigest"),
    ],
)
def test_refused(
    send: SignedHttp,
    s3: S3Client,
    bucket: str,
    inner: str,
    headers: dict[str, str] | None,
    root: str,
    code: str,
) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    reply = delete(send, bucket, inner, headers=headers, root=root)
    assert (reply.status, reply.code) == (400, code)
    assert send("HEAD", f"/{bucket}/k").status == 200


def test_of_others(send: SignedHttp, send_other: SignedHttp, bucket: str) -> None:
    assert delete(send_other, bucket, listed("k")).code == "AccessDenied"
    assert delete(send, "semantics-no-such-bucket", listed("k")).code == "NoSuchBucket"
