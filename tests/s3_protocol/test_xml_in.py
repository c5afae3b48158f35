"""XML bodies: real ones, near misses and hostile ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.xml_in import (
    CompletedPart,
    ObjectIdentifier,
    parse_complete_multipart_upload,
    parse_create_bucket,
    parse_delete,
)

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
PARSERS: list[Callable[[bytes], object]] = [
    parse_complete_multipart_upload,
    parse_delete,
    parse_create_bucket,
]


def code_of(parse: Callable[[bytes], object], body: bytes) -> str:
    with pytest.raises(S3Error) as caught:
        parse(body)
    return caught.value.code


@pytest.mark.parametrize("namespace", ["", NAMESPACE, 'xmlns="urn:other"'])
def test_complete(namespace: str) -> None:
    body = f"""<?xml version="1.0"?>
        <CompleteMultipartUpload {namespace}>
          <Part><PartNumber>1</PartNumber><ETag>"a1"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>
          <Part><ETag>b2</ETag><PartNumber> 2 </PartNumber></Part>
          <Part><ETag>&quot;c3&quot;</ETag><PartNumber>10000</PartNumber></Part>
        </CompleteMultipartUpload>"""
    assert parse_complete_multipart_upload(body.encode()) == [
        CompletedPart(1, "a1", {"CRC32": "AAAAAA=="}),
        CompletedPart(2, "b2"),
        CompletedPart(10000, "c3"),
    ]


def test_an_empty_complete_is_told_apart() -> None:
    assert parse_complete_multipart_upload(b"") is None
    assert code_of(parse_complete_multipart_upload, b"<CompleteMultipartUpload/>") == "MalformedXML"


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ("<PartNumber>0</PartNumber><ETag>a</ETag>", "InvalidArgument"),
        ("<PartNumber>10001</PartNumber><ETag>a</ETag>", "InvalidArgument"),
        (f"<PartNumber>{'9' * 9999}</PartNumber><ETag>a</ETag>", "InvalidArgument"),
        ("<PartNumber>-1</PartNumber><ETag>a</ETag>", "MalformedXML"),
        ("<PartNumber>²</PartNumber><ETag>a</ETag>", "MalformedXML"),
        ("<PartNumber>1</PartNumber>", "MalformedXML"),
        ("<ETag>a</ETag>", "MalformedXML"),
        ("<PartNumber>1</PartNumber><ETag>a</ETag><ETag>b</ETag>", "MalformedXML"),
        ("<PartNumber>1</PartNumber><ETag>a</ETag><Wrong/>", "MalformedXML"),
        ("<PartNumber>1</PartNumber><ETag><b>a</b></ETag>", "MalformedXML"),
    ],
)
def test_bad_parts(part: str, code: str) -> None:
    body = f"<CompleteMultipartUpload><Part>{part}</Part></CompleteMultipartUpload>"
    assert code_of(parse_complete_multipart_upload, body.encode()) == code


def test_delete() -> None:
    body = f"""<Delete {NAMESPACE}><Object><Key> a&amp;b&#13; </Key><VersionId>v</VersionId></Object>
        <Object><Key>日</Key><ETag>"e"</ETag><Size>3</Size></Object><Quiet>true</Quiet></Delete>"""
    parsed = parse_delete(body.encode())
    assert parsed.quiet
    assert parsed.objects == [
        ObjectIdentifier(" a&b\r ", "v"),
        ObjectIdentifier("日", None, "e", None, 3),
    ]
    utf16 = '<?xml version="1.0" encoding="UTF-16"?><Delete><Object><Key>日</Key></Object></Delete>'
    assert parse_delete(utf16.encode("utf-16")).objects == [ObjectIdentifier("日")]


def test_delete_takes_a_thousand() -> None:
    entry = "<Object><Key>k</Key></Object>"
    assert len(parse_delete(f"<Delete>{entry * 1000}</Delete>".encode()).objects) == 1000
    assert code_of(parse_delete, f"<Delete>{entry * 1001}</Delete>".encode()) == "MalformedXML"
    assert code_of(parse_delete, b"<Delete/>") == "MalformedXML"
    assert code_of(parse_delete, b"") == "MissingRequestBodyError"
    assert code_of(parse_delete, b"<Delete><Object><Key/></Object></Delete>") == "MalformedXML"


def test_create_bucket() -> None:
    constraint = "<LocationConstraint>eu-west-1</LocationConstraint>"
    body = f"<CreateBucketConfiguration {NAMESPACE}>{constraint}</CreateBucketConfiguration>"
    assert parse_create_bucket(body.encode()) == "eu-west-1"
    assert parse_create_bucket(b"") is None
    assert parse_create_bucket(b"<CreateBucketConfiguration/>") is None
    tagged = b"<CreateBucketConfiguration><Tags><Tag/></Tags></CreateBucketConfiguration>"
    assert code_of(parse_create_bucket, tagged) == "NotImplemented"


LAUGHS = (
    b"""<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>"""
)
EXTERNAL = b"""<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>"""


@pytest.mark.parametrize(
    "body",
    [
        LAUGHS,
        EXTERNAL,
        b"<!DOCTYPE d SYSTEM 'http://localhost/x'><Delete/>",
        b"<Delete>" + b"<a>" * 100_000,
        b"<Delete>" + b"<a/>" * 200_000 + b"</Delete>",
        b"<Delete><Object><Key>\0</Key></Object></Delete>",
        b"<Delete><Object><Key>&#0;</Key></Object></Delete>",
        b"<Delete><Object><Key>\xff</Key></Object></Delete>",
        b'<?xml version="1.0" encoding="nonsense"?><Delete/>',
        b'<?xml version="1.0" encoding="utf-7"?><Delete/>',
        b"<Delete>",
        b"<Delete/><Delete/>",
        b"<Other/>",
        b"not xml",
        b"\xff\xfe",
    ],
)
@pytest.mark.parametrize("parse", PARSERS)
def test_hostile_bodies_are_malformed(parse: Callable[[bytes], object], body: bytes) -> None:
    assert code_of(parse, body) == "MalformedXML"


def test_a_huge_body_is_refused_unparsed() -> None:
    assert code_of(parse_delete, b"<" * (8 * 1024**2 + 1)) == "MaxMessageLengthExceeded"


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    for parse in PARSERS:
        try:
            parse(body)
        except S3Error as error:
            assert error.status == 400  # noqa: PT017 - parsed is fine too
