"""The router: every operation of botocore's model, and what no SDK sends."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

import botocore.session
import pytest
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from zerohop_proxy.operation import Operation
from zerohop_proxy.raw_request import RawRequest
from zerohop_proxy.routing import route
from zerohop_proxy.s3_errors import S3Error

MODEL = botocore.session.get_session().get_service_model("s3")
SERIALIZER = create_serializer("rest-xml", include_validation=False)

# Pairs that are the same request on the wire: an operation and its deprecated form, or another endpoint's.
SAME_ON_THE_WIRE = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
    "ListDirectoryBuckets": "ListBuckets",
}


def raw(method: str, target: str, headers: dict[str, str] | None = None) -> RawRequest:
    pairs = [(k.encode(), v.encode()) for k, v in (headers or {}).items()]
    return RawRequest.from_wire(method, target, pairs)


def code_of(method: str, target: str, headers: dict[str, str] | None = None) -> str:
    with pytest.raises(S3Error) as caught:
        route(raw(method, target, headers))
    return caught.value.code


def serialized(name: str) -> RawRequest:
    operation = MODEL.operation_model(name)
    values: dict[str, Any] = {}
    inputs: Any = operation.input_shape
    for member in inputs.required_members if inputs else []:
        shape = inputs.members[member]
        if shape.serialization.get("location") in ("uri", "querystring", "header"):
            values[member] = (
                7 if shape.type_name == "integer" else "bucket" if member == "Bucket" else "value"
            )
    request = SERIALIZER.serialize_to_request(values, operation)
    path = request["url_path"]
    query = "&".join(f"{quote(k)}={quote(str(v))}" for k, v in request["query_string"].items())
    if query:
        path += ("&" if "?" in path else "?") + query
    return raw(request["method"], "/api/v1/s3" + path, {k: str(v) for k, v in request["headers"].items()})


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_every_operation_of_the_model_routes_to_its_own_name(name: str) -> None:
    routed = route(serialized(name))
    assert routed.operation.value == SAME_ON_THE_WIRE.get(name, name)
    assert routed.in_dialect


def test_the_enum_is_the_model() -> None:
    assert {op.value for op in Operation} == {*MODEL.operation_names, "PostObject", "OptionsObject"}


@pytest.mark.parametrize(
    ("method", "target", "operation", "bucket", "key"),
    [
        ("GET", "/", "ListBuckets", "", ""),
        ("GET", "/api/v1/s3", "ListBuckets", "", ""),
        ("GET", "/api/v1/s3/", "ListBuckets", "", ""),
        ("GET", "/api/v1/s3?x-id=ListBuckets", "ListBuckets", "", ""),
        ("GET", "/bucket", "ListObjects", "bucket", ""),
        ("GET", "/bucket/?list-type=2&x-id=L", "ListObjectsV2", "bucket", ""),
        ("GET", "/bucket?list-type=1", "ListObjects", "bucket", ""),
        ("HEAD", "/bucket/", "HeadBucket", "bucket", ""),
        ("GET", "/bucket/a//b", "GetObject", "bucket", "a//b"),
        ("GET", "/bucket//", "GetObject", "bucket", "/"),
        ("GET", "/bucket/../x", "GetObject", "bucket", "../x"),
        ("GET", "/bucket/.", "GetObject", "bucket", "."),
        ("GET", "/bucket/a%2Fb+c%20d%25", "GetObject", "bucket", "a/b+c d%"),
        ("PUT", "/bucket/%E6%97%A5", "PutObject", "bucket", "日"),
        ("PUT", "/bucket/日", "PutObject", "bucket", "日"),
        ("GET", "/bucket/%00", "GetObject", "bucket", "\0"),
        ("GET", "http://host:1/bucket/key", "GetObject", "bucket", "key"),
        ("GET", "http://host:1", "ListBuckets", "", ""),
        ("GET", "/bucket/api/v1/s3/key", "GetObject", "bucket", "api/v1/s3/key"),
        ("GET", "/api/v1/s3/bucket/k?partNumber=1&versionId=null", "GetObject", "bucket", "k"),
        ("OPTIONS", "/bucket/k", "OptionsObject", "bucket", "k"),
    ],
)
def test_paths(method: str, target: str, operation: str, bucket: str, key: str) -> None:
    routed = route(raw(method, target))
    assert (routed.operation.value, routed.bucket, routed.key) == (operation, bucket, key)
    assert routed.in_dialect == target.startswith("/api/v1/s3")
    assert "x-id" not in routed.query


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", "/api", "InvalidBucketName"),
        ("GET", "/api/v1/s3x/k", "InvalidBucketName"),
        ("PUT", "/Bucket", "InvalidBucketName"),
        ("PUT", "/ab", "InvalidBucketName"),
        ("PUT", "/" + "a" * 64, "InvalidBucketName"),
        ("PUT", "/a..b", "InvalidBucketName"),
        ("PUT", "/192.168.5.4", "InvalidBucketName"),
        ("PUT", "/bucket%2Fkey", "InvalidBucketName"),
        ("PUT", "/xn--bucket", "InvalidBucketName"),
        ("PUT", "/-bucket", "InvalidBucketName"),
        ("PUT", "/bucket%0A", "InvalidBucketName"),
        ("GET", "//key", "InvalidBucketName"),
        ("GET", "/bucket/%zz", "InvalidURI"),
        ("GET", "/bucket/%", "InvalidURI"),
        ("GET", "/bucket/%ff", "InvalidURI"),
        ("OPTIONS", "*", "InvalidURI"),
        ("GET", "/bucket/" + "a" * 1025, "KeyTooLongError"),
        ("GET", "/bucket/" + "%E6%97%A5" * 342, "KeyTooLongError"),
        ("GET", "/bucket?prefix=a&prefix=b", "InvalidArgument"),
        ("GET", "/bucket?prefix=%ff", "InvalidArgument"),
        ("GET", "/bucket?acl&policy", "InvalidArgument"),
        ("PUT", "/bucket/k?partNumber=1", "InvalidArgument"),
        ("PUT", "/bucket/k?uploadId=1", "InvalidArgument"),
        ("DELETE", "/bucket?acl", "MethodNotAllowed"),
        ("DELETE", "/bucket?uploadId=x", "MethodNotAllowed"),
        ("DELETE", "/bucket/k?lifecycle", "InvalidRequest"),
        ("PUT", "/bucket/k?uploads", "MethodNotAllowed"),
        ("POST", "/bucket", "PreconditionFailed"),
        ("POST", "/bucket/k", "MethodNotAllowed"),
        ("PUT", "/", "MethodNotAllowed"),
        ("BREW", "/bucket/k", "MethodNotAllowed"),
    ],
)
def test_refused(method: str, target: str, code: str) -> None:
    assert code_of(method, target) == code


def test_the_longest_key_counts_bytes() -> None:
    assert len(route(raw("GET", "/bucket/" + "a" * 1024)).key) == 1024
    assert len(route(raw("GET", "/bucket/" + "%E6%97%A5" * 341)).key) == 341


def test_a_plus_in_the_query_is_a_space() -> None:
    assert route(raw("GET", "/bucket?prefix=a+b%2Bc&delimiter=/&fetch-owner")).query == {
        "prefix": "a b+c",
        "delimiter": "/",
        "fetch-owner": "",
    }


def test_copies_are_known_by_their_header() -> None:
    source = {"X-Amz-Copy-Source": "/a/b"}
    assert route(raw("PUT", "/bucket/k", source)).operation is Operation.COPY_OBJECT
    part = route(raw("PUT", "/bucket/k?partNumber=1&uploadId=u", source))
    assert part.operation is Operation.UPLOAD_PART_COPY


def test_a_browser_form() -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert route(raw("POST", "/bucket", headers)).operation is Operation.POST_OBJECT


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_key_comes_back(key: str) -> None:
    assert route(raw("GET", f"/bucket/{quote(key, safe='/')}")).key == key


@given(st.text(max_size=40), st.sampled_from(["GET", "PUT", "DELETE", "POST", "HEAD"]))
def test_any_target_is_routed_or_refused(target: str, method: str) -> None:
    target = target.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
    try:
        route(raw(method, "/" + target))
    except S3Error as error:
        assert 400 <= error.status < 500  # noqa: PT017 - routed is fine too


def test_the_example_urls_are_real() -> None:
    assert urlsplit(serialized("GetObject").path).path == "/api/v1/s3/bucket/value"
