"""Query parameters and headers of the operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerohop_proxy import params
from zerohop_proxy.object_headers import (
    CopySource,
    body_length,
    copy_directive,
    parse_copy_source,
    parse_object_headers,
    user_metadata_headers,
)
from zerohop_proxy.s3_errors import S3Error


def code_of(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(S3Error) as caught:
        function(*args, **kwargs)
    return caught.value.code


def test_defaults_and_echoes() -> None:
    parsed = params.parse_list_objects_v2({})
    assert parsed == params.ListObjectsV2Params("", "", 1000, False, None, None, False)
    given_all = {"prefix": "p", "delimiter": "/", "max-keys": "5", "encoding-type": "url", "start-after": "s",
                 "continuation-token": "t", "fetch-owner": "true"}  # fmt: skip
    assert params.parse_list_objects_v2(given_all) == params.ListObjectsV2Params(
        "p", "/", 5, True, "s", "t", True
    )
    query = {"marker": "m", "continuation-token": "key3"}
    assert params.parse_list_objects(query, in_dialect=True).continuation_token == "key3"
    assert params.parse_list_objects(query, in_dialect=False).continuation_token is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("1", 1), ("1000", 1000), ("1001", 1000), ("2147483647", 1000), ("", 1000)],
)
def test_page_sizes(text: str, expected: int) -> None:
    assert params.parse_list_objects({"max-keys": text}, in_dialect=False).max_keys == expected
    assert params.parse_list_uploads({"max-uploads": text}).max_uploads == expected
    assert params.parse_list_parts({"uploadId": "u", "max-parts": text}).max_parts == expected


@pytest.mark.parametrize("text", ["-1", "2147483648", "9" * 5000, "abc", "1.0", " 1", "²", "+1"])
def test_bad_numbers(text: str) -> None:
    assert code_of(params.parse_list_objects_v2, {"max-keys": text}) == "InvalidArgument"
    assert (
        code_of(params.parse_list_parts, {"uploadId": "u", "part-number-marker": text}) == "InvalidArgument"
    )
    assert code_of(params.parse_part_number, {"partNumber": text}) == "InvalidArgument"
    assert code_of(params.parse_list_buckets, {"max-buckets": text}) == "InvalidArgument"


def test_part_numbers() -> None:
    assert params.parse_part_number({"partNumber": "10000"}) == 10000
    assert params.parse_read_part_number({}) is None
    for text in ("0", "10001", ""):
        assert code_of(params.parse_part_number, {"partNumber": text}) == "InvalidArgument"


def test_other_bad_parameters() -> None:
    assert code_of(params.parse_list_objects_v2, {"encoding-type": "base64"}) == "InvalidArgument"
    assert code_of(params.parse_list_objects_v2, {"continuation-token": ""}) == "InvalidArgument"
    assert code_of(params.parse_list_versions, {"version-id-marker": "v"}) == "InvalidArgument"
    assert code_of(params.parse_list_parts, {"uploadId": ""}) == "NoSuchUpload"


def test_response_overrides() -> None:
    query = {"response-content-type": "text/html; charset=ü", "response-expires": "x", "versionId": "v"}
    assert params.parse_response_overrides(query) == {"Content-Type": "text/html; charset=ü", "Expires": "x"}
    assert code_of(params.parse_response_overrides, query, anonymous=True) == "InvalidRequest"
    assert code_of(params.parse_response_overrides, {"response-expires": "a\r\nb: c"}) == "InvalidArgument"


def test_object_headers() -> None:
    parsed = parse_object_headers(
        {
            "content-type": "text/plain",
            "content-encoding": "aws-chunked, gzip",
            "content-disposition": "attachment; filename=\u00e6\u0097\u00a5",  # UTF-8 bytes read as latin-1
            "x-amz-meta-a": "1",
            "x-amz-meta-word": "=?UTF-8?B?5pel?=",
            "x-amz-storage-class": "STANDARD_IA",
            "x-amz-date": "20130524T000000Z",
        }
    )
    assert parsed.standard == {
        "Content-Type": "text/plain",
        "Content-Disposition": "attachment; filename=日",
        "Content-Encoding": "gzip",
    }
    assert parsed.user_metadata == {"a": "1", "word": "日"}
    assert parsed.storage_class == "STANDARD_IA"
    assert "Content-Encoding" not in parse_object_headers({"content-encoding": "aws-chunked"}).standard
    assert code_of(parse_object_headers, {"x-amz-storage-class": "GOLD"}) == "InvalidStorageClass"


def test_user_metadata_is_bounded() -> None:
    parse_object_headers({"x-amz-meta-a": "x" * 2047})
    assert code_of(parse_object_headers, {"x-amz-meta-a": "x" * 2048}) == "MetadataTooLarge"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_user_metadata_comes_back_and_never_breaks_a_header(value: str) -> None:
    ((name, written),) = user_metadata_headers({"a": value})
    assert name == "x-amz-meta-a"
    assert written.isascii()
    assert written == "" or written.isprintable()
    if not value.isascii():
        assert parse_object_headers({name: written}).user_metadata == {"a": value}


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_any_metadata_is_taken(value: str) -> None:
    parse_object_headers({"x-amz-meta-a": value})
    parse_object_headers({"x-amz-meta-a": f"=?utf-7?B?{value}?="})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bucket/key", CopySource("bucket", "key", None)),
        ("/bucket/key", CopySource("bucket", "key", None)),
        ("/bucket/a%2Fb%20c%2Bd+e%3F", CopySource("bucket", "a/b c+d e?", None)),
        ("bucket%2Fkey?versionId=null", CopySource("bucket", "key", "null")),
        ("/bucket//key", CopySource("bucket", "/key", None)),
        ("/bucket/%E6%97%A5", CopySource("bucket", "日", None)),
        ("/bucket/\u00e6\u0097\u00a5", CopySource("bucket", "日", None)),
    ],
)
def test_copy_sources(value: str, expected: CopySource) -> None:
    assert parse_copy_source(value) == expected


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("bucket", "InvalidArgument"),
        ("/bucket/", "InvalidArgument"),
        ("", "InvalidArgument"),
        ("/bucket/key?other=1", "InvalidArgument"),
        ("/bucket/key?versionId=", "InvalidArgument"),
        ("/bucket/key?versionId=short", "InvalidArgument"),
        ("/bucket/%ff", "InvalidArgument"),
        ("/BUCKET/key", "InvalidBucketName"),
        ("/bucket/" + "k" * 1025, "KeyTooLongError"),
    ],
)
def test_bad_copy_sources(value: str, code: str) -> None:
    assert code_of(parse_copy_source, value) == code


def test_directives() -> None:
    for subject in ("metadata", "tagging"):
        name = f"x-amz-{subject}-directive"
        assert copy_directive({}, subject) == "COPY"
        assert copy_directive({name: "REPLACE"}, subject) == "REPLACE"
        assert code_of(copy_directive, {name: "MOVE"}, subject) == "InvalidArgument"


def test_body_length() -> None:
    assert body_length({"content-length": "5"}, length_required=True) == 5
    assert body_length({"transfer-encoding": "chunked"}, length_required=True) is None
    assert body_length({}, length_required=False) == 0
    assert code_of(body_length, {}, length_required=True) == "MissingContentLength"
    assert code_of(body_length, {"content-length": "-1"}, length_required=True) == "InvalidArgument"
    too_large = str(5 * 1024**3 + 1)
    assert code_of(body_length, {"content-length": too_large}, length_required=True) == "EntityTooLarge"
    framed = {"content-length": too_large, "x-amz-decoded-content-length": "5"}
    assert body_length(framed, length_required=True) == int(too_large)


def test_version_ids() -> None:
    assert params.parse_version_id({}) == ""
    for text in ("null", "3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH", "a" * 16):
        assert params.parse_version_id({"versionId": text}) == text
    for text in ("", "NULL", "short", "a b" * 10, "a" * 1025):
        assert code_of(params.parse_version_id, {"versionId": text}) == "InvalidArgument"


def test_where_a_redirect_leads() -> None:
    name = "x-amz-website-redirect-location"
    for text in ("/page", "http://host/", "https://host/"):
        assert parse_object_headers({name: text}).standard == {name: text}
    assert code_of(parse_object_headers, {name: "page"}) == "InvalidRedirectLocation"
