"""XML bodies: bombs, entities, depth, encodings, and documents that mean something else."""

from __future__ import annotations

import base64
import hashlib

from tests.hostile.case import Case, bad, request

__all__ = ["DOCUMENTS"]

_MALFORMED = "400 MalformedXML"
_LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + b"".join(
        f'<!ENTITY lol{level} "{f"&lol{level - 1 or str()};" * 10}">'.encode() for level in range(1, 10)
    )
    + b"]><Delete><Object><Key>&lol9;</Key></Object></Delete>"
)
_QUADRATIC = (
    b'<!DOCTYPE x [<!ENTITY a "'
    + b"a" * 50_000
    + b'">]><Delete><Object><Key>'
    + b"&a;" * 50_000
    + b"</Key></Object></Delete>"
)


def _delete(name: str, body: bytes, answers: str = _MALFORMED) -> Case:
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    line = "POST /hostile?delete HTTP/1.1"
    return bad(f"delete: {name}", answers, request(line, f"Content-MD5: {digest}", body=body))


def _complete(name: str, body: bytes, answers: str = _MALFORMED + " | 404 NoSuchUpload") -> Case:
    return bad(
        f"complete: {name}",
        answers,
        request("POST /hostile/partial/upload?uploadId=none HTTP/1.1", body=body),
    )


def _create(name: str, body: bytes, answers: str = _MALFORMED) -> Case:
    return bad(f"create: {name}", answers, request("PUT /hostile-never HTTP/1.1", body=body))


def _objects(keys: bytes) -> bytes:
    return b"<Delete>" + keys + b"</Delete>"


_KEY = b"<Object><Key>none</Key></Object>"

DOCUMENTS: list[Case] = [
    _delete("a billion laughs", _LAUGHS),
    _delete("quadratic blow-up", _QUADRATIC),
    _delete(
        "an external entity",
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&e;</Key></Object></Delete>',
    ),
    _delete("an external document type", b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><Delete/>'),
    _delete("a parameter entity", b'<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///dev/zero"> %p;]><Delete/>'),
    _delete("an empty document type", b"<!DOCTYPE Delete>" + _objects(_KEY)),
    _delete("an undefined entity", _objects(b"<Object><Key>&nbsp;</Key></Object>")),
    _delete("a character that XML has not", _objects(b"<Object><Key>&#0;</Key></Object>")),
    _delete("half a surrogate", _objects(b"<Object><Key>&#xD800;</Key></Object>")),
    _delete("a raw control character", _objects(b"<Object><Key>\x01</Key></Object>")),
    _delete("100,000 levels", b"<a>" * 100_000),
    _delete("100 levels, closed", b"<Delete>" * 100 + b"</Delete>" * 100),
    _delete("300,000 elements", _objects(b"<Object/>" * 300_000)),
    _delete(
        "10,000 attributes",
        b"<Delete " + b" ".join(b'a%d="v"' % number for number in range(10_000)) + b">" + _KEY + b"</Delete>",
        _MALFORMED + " | 200",
    ),
    _delete("one attribute twice", b'<Delete a="1" a="2">' + _KEY + b"</Delete>"),
    _delete("a name of 1 MB", b"<" + b"a" * 1_000_000 + b"/>"),
    _delete("text of 3 MB", b"<Delete>" + b"x" * 3_000_000 + _KEY + b"</Delete>", _MALFORMED + " | 200"),
    _delete(
        "comments of 3 MB",
        b"<Delete>" + b"<!-- xxxxxxxx -->" * 180_000 + _KEY + b"</Delete>",
        _MALFORMED + " | 200",
    ),
    _delete("10 MB", b"<Delete>" + b" " * 10_000_000 + b"</Delete>", "400 MaxMessageLengthExceeded"),
    _delete("not closed", b"<Delete><Object><Key>none</Key>"),
    _delete("closed crosswise", b"<Delete><Object><Key>none</Object></Key></Delete>"),
    _delete("two roots", _objects(_KEY) * 2),
    _delete("text behind the root", _objects(_KEY) + b"x"),
    _delete("another root", b"<Remove>" + _KEY + b"</Remove>"),
    _delete("no XML", b"key=none"),
    _delete("JSON", b'{"Objects": [{"Key": "none"}]}'),
    _delete("NULs", bytes(1000)),
    _delete("blanks", b" " * 1000),
    _delete(
        "nothing", b"", "400 MissingRequestBodyError | 400 MissingContentLength | 411 MissingContentLength"
    ),
    _delete("no object", _objects(b"")),
    _delete("1001 objects", _objects(_KEY * 1001)),
    _delete("an empty key", _objects(b"<Object><Key></Key></Object>")),
    _delete("no key", _objects(b"<Object><VersionId>1</VersionId></Object>")),
    _delete("two keys", _objects(b"<Object><Key>a</Key><Key>b</Key></Object>")),
    _delete("a key within a key", _objects(b"<Object><Key><Key>a</Key></Key></Object>")),
    _delete("a key of 2 KB", _objects(b"<Object><Key>" + b"k" * 2000 + b"</Key></Object>"), "200"),
    _delete("an unknown element", _objects(_KEY + b"<Frob/>")),
    _delete("quiet of nonsense", _objects(_KEY + b"<Quiet>maybe</Quiet>")),
    _delete("a negative size", _objects(b"<Object><Key>a</Key><Size>-1</Size></Object>")),
    _delete("a size of 30 digits", _objects(b"<Object><Key>a</Key><Size>" + b"9" * 30 + b"</Size></Object>")),
    _delete("UTF-7", b'<?xml version="1.0" encoding="UTF-7"?>+ADw-Delete/+AD4-'),
    _delete(
        "an unknown encoding",
        b'<?xml version="1.0" encoding="frob"?>' + _objects(_KEY),
        _MALFORMED + " | 200",
    ),
    _delete(
        "an encoding that is a codec of Python",
        b'<?xml version="1.0" encoding="zlib"?>' + _objects(_KEY),
        _MALFORMED + " | 200",
    ),
    _delete("UTF-16 without its mark", _objects(_KEY).decode().encode("utf-16-le"), _MALFORMED + " | 200"),
    _delete("half of UTF-16", _objects(_KEY).decode().encode("utf-16")[:-1]),
    _delete("UTF-32", _objects(_KEY).decode().encode("utf-32")),
    _delete("bytes that are no UTF-8", _objects(b"<Object><Key>\xff</Key></Object>")),
    _delete("a namespace that is not declared", b"<x:Delete><x:Object/></x:Delete>"),
    _delete(
        "a processing instruction",
        b'<?xml-stylesheet href="file:///etc/passwd"?>' + _objects(_KEY),
        _MALFORMED + " | 200",
    ),
    _delete(
        "an inclusion",
        b'<Delete xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file:///etc/passwd"/></Delete>',
    ),
    _complete("a billion laughs", _LAUGHS),
    _complete(
        "part number zero",
        b"<CompleteMultipartUpload><Part><PartNumber>0</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>",
        "400 InvalidArgument | 404 NoSuchUpload",
    ),
    _complete(
        "a part number of 40 digits",
        b"<CompleteMultipartUpload><Part><PartNumber>"
        + b"1" * 40
        + b"</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>",
        "400 InvalidArgument | 404 NoSuchUpload | 400 MalformedXML",
    ),
    _complete(
        "a negative part number",
        b"<CompleteMultipartUpload><Part><PartNumber>-1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>",
    ),
    _complete(
        "10,001 parts",
        b"<CompleteMultipartUpload>"
        + b"<Part><PartNumber>1</PartNumber><ETag>e</ETag></Part>" * 10_001
        + b"</CompleteMultipartUpload>",
    ),
    _complete(
        "5 MB",
        b"<CompleteMultipartUpload>" + b" " * 5_000_000 + b"</CompleteMultipartUpload>",
        "400 MaxMessageLengthExceeded",
    ),
    _create("a billion laughs", _LAUGHS),
    _create("another root", b"<Frob/>"),
    _create(
        "a region of nonsense",
        b"<CreateBucketConfiguration><LocationConstraint>mars-1</LocationConstraint></CreateBucketConfiguration>",
        "400 InvalidLocationConstraint | 400 IllegalLocationConstraintException",
    ),
    _create(
        "nested",
        b"<CreateBucketConfiguration><LocationConstraint><a/></LocationConstraint></CreateBucketConfiguration>",
    ),
    _create(
        "5 MB",
        b"<CreateBucketConfiguration>" + b" " * 5_000_000 + b"</CreateBucketConfiguration>",
        "400 MaxMessageLengthExceeded",
    ),
]
