"""XML answers, read back by botocore's own parser."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

import botocore.session
import pytest
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

from zerohop.rpc.master_api import ListEntry
from zerohop_proxy import xml_listings, xml_out
from zerohop_proxy.xml_listings import (
    ObjectsPage,
    PartEntry,
    PartsPage,
    UploadEntry,
    UploadsPage,
    VersionsPage,
)
from zerohop_proxy.xml_out import BucketEntry, Deleted, DeleteError, Owner
from zerohop_proxy.xml_text import timestamp, url_encoded

MODEL = botocore.session.get_session().get_service_model("s3")
OWNER = Owner("0123", "Ann & Bob")
AT = 1560867965_694


def read(operation: str, body: bytes, status: int = 200) -> dict[str, Any]:
    shape = MODEL.operation_model(operation).output_shape
    assert shape is not None
    response = {"body": body, "headers": {}, "status_code": status}
    parsed: dict[str, Any] = create_parser("rest-xml").parse(response, shape)
    return parsed


def page(
    keys: list[str], *, url: bool = False, prefixes: list[str] | None = None, prefix: str = ""
) -> ObjectsPage:
    entries = [ListEntry(key=key, modified_ms=AT, etag="e" * 32, size_bytes=5) for key in keys]
    return ObjectsPage("bucket", prefix, "/", 1000, url, True, entries, prefixes or [], OWNER)


XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=30
)


@given(st.lists(XML_TEXT, max_size=4), st.lists(XML_TEXT, max_size=4))
def test_any_printable_key_comes_back(keys: list[str], prefixes: list[str]) -> None:
    for body, name in (
        (xml_listings.list_bucket_result(page(keys, prefixes=prefixes)), "ListObjects"),
        (xml_listings.list_bucket_result_v2(page(keys, prefixes=prefixes)), "ListObjectsV2"),
    ):
        parsed = read(name, body)
        assert [entry["Key"] for entry in parsed.get("Contents", [])] == keys
        assert [entry["Prefix"] for entry in parsed.get("CommonPrefixes", [])] == prefixes


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=4))
def test_any_key_at_all_comes_back_url_encoded(keys: list[str]) -> None:
    body = xml_listings.list_bucket_result_v2(page(keys, url=True, prefix="\x01 "))
    parsed = read("ListObjectsV2", body)
    assert [unquote_plus(entry["Key"]) for entry in parsed.get("Contents", [])] == keys
    assert parsed["EncodingType"] == "url"
    assert unquote_plus(parsed["Prefix"]) == "\x01 "


def test_url_encoding_as_s3_has_it() -> None:
    assert url_encoded("a b/c+d~é*(1)") == "a+b/c%2Bd%7E%C3%A9*%281%29"


def test_characters_that_xml_cannot_carry_are_references() -> None:
    assert b"<Key>a&#x1;&#xD;&lt;</Key>" in xml_listings.list_bucket_result_v2(page(["a\x01\r<"]))


def test_v2_listing() -> None:
    body = xml_listings.list_bucket_result_v2(
        page(["k"], prefixes=["p/"]), start_after="s", continuation_token="c", next_continuation_token="n"
    )
    parsed = read("ListObjectsV2", body)
    expected = {"Name": "bucket", "Prefix": "", "StartAfter": "s", "ContinuationToken": "c", "KeyCount": 2,
                "NextContinuationToken": "n", "MaxKeys": 1000, "Delimiter": "/", "IsTruncated": True}  # fmt: skip
    assert {name: parsed[name] for name in expected} == expected
    entry = parsed["Contents"][0]
    assert (entry["ETag"], entry["Size"], entry["StorageClass"]) == (f'"{"e" * 32}"', 5, "STANDARD")
    assert entry["Owner"] == {"ID": "0123", "DisplayName": "Ann & Bob"}
    assert entry["LastModified"].isoformat() == "2019-06-18T14:26:05+00:00"


def test_v1_listing_and_the_dialect() -> None:
    parsed = read("ListObjects", xml_listings.list_bucket_result(page(["k"]), marker="m", next_marker="n"))
    assert (parsed["Marker"], parsed["NextMarker"]) == ("m", "n")
    body = xml_listings.list_bucket_result(
        page(["k"]), in_dialect=True, continuation_token="a", next_token="b"
    )
    for element in (
        "<KeyCount>1</KeyCount>",
        "<ContinuationToken>a</ContinuationToken>",
        "<NextContinuationToken>b</NextContinuationToken>",
    ):
        assert element in body.decode()
    assert b"NextMarker" not in body


def test_versions() -> None:
    versions = [
        ListEntry(key="k", modified_ms=AT, etag="e", size_bytes=1),
        ListEntry(
            key="d", version_id="v", latest=False, modified_ms=AT, delete_marker=True, etag="", size_bytes=0
        ),
    ]
    shown = VersionsPage("bucket", "", "", 1000, False, True, "a", "", "k", "null", versions, ["p/"], OWNER)
    parsed = read("ListObjectVersions", xml_listings.list_versions_result(shown))
    assert parsed["Versions"][0]["VersionId"] == "null"
    assert parsed["DeleteMarkers"][0] == {
        "Key": "d",
        "VersionId": "v",
        "IsLatest": False,
        "LastModified": parsed["Versions"][0]["LastModified"],
        "Owner": {"ID": OWNER.id, "DisplayName": OWNER.display_name},
    }
    assert (parsed["NextKeyMarker"], parsed["NextVersionIdMarker"]) == ("k", "null")


def test_uploads_and_parts() -> None:
    entry = UploadEntry("a b", "u", AT, OWNER, checksum_algorithm="CRC32", checksum_type="COMPOSITE")
    uploads = UploadsPage("bucket", "", "", 10, True, False, "", "", "", "", [entry], [])
    upload = read("ListMultipartUploads", xml_listings.list_multipart_uploads_result(uploads))["Uploads"][0]
    assert (upload["Key"], upload["UploadId"], upload["ChecksumAlgorithm"]) == ("a+b", "u", "CRC32")
    parts = PartsPage(
        "bucket", "k", "u", OWNER, 0, 1, 1, True, [PartEntry(1, AT, "e", 5, {"CRC32": "AAAAAA=="})]
    )
    parsed = read("ListParts", xml_listings.list_parts_result(parts))
    assert parsed["NextPartNumberMarker"] == 1
    part = parsed["Parts"][0]
    assert (part["PartNumber"], part["ETag"], part["Size"], part["ChecksumCRC32"]) == (
        1,
        '"e"',
        5,
        "AAAAAA==",
    )


def test_results_of_writes() -> None:
    parsed = read("CreateMultipartUpload", xml_out.initiate_multipart_upload_result("b", "k<", "u"))
    assert (parsed["Bucket"], parsed["Key"], parsed["UploadId"]) == ("b", "k<", "u")
    body = xml_out.complete_multipart_upload_result(
        "/b/k", "b", "k", "e-2", checksums={"SHA1": "x-2"}, checksum_type="COMPOSITE"
    )
    parsed = read("CompleteMultipartUpload", body)
    assert (parsed["ETag"], parsed["ChecksumSHA1"], parsed["ChecksumType"]) == ('"e-2"', "x-2", "COMPOSITE")
    bare = xml_out.complete_multipart_upload_result("/b/k", "b", "k", "e", with_declaration=False)
    assert bare.startswith(b"<CompleteMultipartUploadResult")
    assert read("CopyObject", xml_out.copy_object_result("e", AT))["CopyObjectResult"]["ETag"] == '"e"'
    assert read("UploadPartCopy", xml_out.copy_part_result("e", AT))["CopyPartResult"]["ETag"] == '"e"'
    deleted, errors = [Deleted("k", delete_marker=True)], [DeleteError("f", "AccessDenied", "no")]
    parsed = read("DeleteObjects", xml_out.delete_result(deleted, errors))
    assert parsed["Deleted"] == [{"Key": "k", "DeleteMarker": True}]
    assert parsed["Errors"] == [{"Key": "f", "Code": "AccessDenied", "Message": "no"}]
    assert "Deleted" not in read("DeleteObjects", xml_out.delete_result(deleted, errors, quiet=True))


def test_buckets_and_location() -> None:
    parsed = read(
        "ListBuckets",
        xml_out.list_all_my_buckets_result(OWNER, [BucketEntry("b", AT, "x")], continuation_token="t"),
    )
    assert parsed["Owner"] == {"ID": "0123", "DisplayName": "Ann & Bob"}
    assert (parsed["Buckets"][0]["Name"], parsed["ContinuationToken"]) == ("b", "t")
    assert b">eu-west-1</LocationConstraint>" in xml_out.location_constraint("eu-west-1")
    assert b"></LocationConstraint>" in xml_out.location_constraint("us-east-1")


def test_errors() -> None:
    body = xml_out.error("NoSuchKey", "a < b", "/b/k", "r", "h", {"Key": "k&"})
    parsed = read("GetObject", body, 404)
    assert (parsed["Error"]["Code"], parsed["Error"]["Message"], parsed["Error"]["Key"]) == (
        "NoSuchKey",
        "a < b",
        "k&",
    )
    assert body.endswith(b"<Resource>/b/k</Resource><RequestId>r</RequestId><HostId>h</HostId></Error>")


@pytest.mark.parametrize(("ms", "text"), [(0, "1970-01-01T00:00:00.000Z"), (AT, "2019-06-18T14:26:05.000Z")])
def test_timestamps(ms: int, text: str) -> None:
    assert timestamp(ms) == text
