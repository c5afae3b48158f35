"""Header fields: too long, too many, malformed, contradictory."""

from __future__ import annotations

from tests.hostile.case import Case, bad, head, put, request

__all__ = ["HEADER_FIELDS"]

_UNPARSABLE = "400 BadRequest | closed"
_TOO_LARGE = "400 RequestHeaderSectionTooLarge | closed"
_GET = "GET /hostile/none HTTP/1.1"

HEADER_FIELDS: list[Case] = [
    bad("a value of 20 KB", _TOO_LARGE, head(_GET, "X-Long: " + "v" * 20_000)),
    bad("a value of 1 MB", _TOO_LARGE, head(_GET, "X-Long: " + "v" * 1_000_000)),
    bad("a name of 20 KB", _TOO_LARGE, head(_GET, "X" * 20_000 + ": v")),
    bad("600 fields", _UNPARSABLE, head(_GET, *(f"X-{number}: v" for number in range(600)))),
    bad("100,000 fields", _UNPARSABLE, head(_GET, *(f"X-{number}: v" for number in range(100_000)))),
    bad(
        "500 fields of 16 KB",
        _TOO_LARGE,
        head(_GET, *(f"X-{number}: {'v' * 16_000}" for number in range(500))),
    ),
    bad("10,000 fields of one name", _UNPARSABLE, head(_GET, *("X-Same: v" for _ in range(10_000)))),
    bad("fields for ever, no end of the head", _UNPARSABLE, head(_GET)[:-2] + b"X-More: v\r\n" * 5000),
    bad("an empty name", _UNPARSABLE, head(_GET, ": v")),
    bad("no colon", _UNPARSABLE, head(_GET, "X-Nothing")),
    bad("a space before the colon", _UNPARSABLE, head(_GET, "X-Space : v")),
    bad("a tab before the colon", _UNPARSABLE, head(_GET, "X-Tab\t: v")),
    bad("a space in the name", _UNPARSABLE, head(_GET, "X Space: v")),
    bad("a space before the first name", _UNPARSABLE, head(_GET, " X-Space: v", host=None)),
    bad("folded", _UNPARSABLE, head(_GET, "X-Fold: a", " b")),
    bad("folded by a tab", _UNPARSABLE, head(_GET, "X-Fold: a", "\tb")),
    bad("NUL in the name", _UNPARSABLE, head(_GET, b"X-\0: v")),
    bad("NUL in the value", _UNPARSABLE, head(_GET, b"X-Nul: a\0b")),
    bad("a bare CR in the value", _UNPARSABLE, head(_GET, b"X-Cr: a\rb")),
    bad("a bare LF ends the field", _UNPARSABLE, head(_GET, b"X-Lf: a\nX-Other: b")),
    bad("LF, LF ends the head", _UNPARSABLE, b"GET /hostile/none HTTP/1.1\r\nHost: localhost\n\n"),
    bad("CR, CR ends the head", _UNPARSABLE, b"GET /hostile/none HTTP/1.1\r\nHost: localhost\r\r"),
    bad("a control character", _UNPARSABLE, head(_GET, b"X-Bell: \x07")),
    bad("DEL in the value", "400 BadRequest | closed | 404 NoSuchKey", head(_GET, b"X-Del: \x7f")),
    bad("bytes that are no text", "404 NoSuchKey | 400 BadRequest", head(_GET, b"X-Raw: \xff\xfe\x80")),
    bad("a name that is no text", _UNPARSABLE, head(_GET, b"X-\xff: v")),
    bad("a name with a separator", _UNPARSABLE, head(_GET, "X(y): v")),
    bad("a name with a quote", _UNPARSABLE, head(_GET, 'X"y: v')),
    bad("no host", _UNPARSABLE, head(_GET, host=None)),
    bad("two hosts", _UNPARSABLE, head(_GET, "Host: other")),
    bad("twice the same host", _UNPARSABLE, head(_GET, "Host: localhost")),
    bad("an empty host", "403 AccessDenied | 400 BadRequest", head(_GET, host="")),
    bad("a host of another site", "403 AccessDenied", head(_GET, host="evil.example")),
    bad("a host that begins like loopback", "403 AccessDenied", head(_GET, host="localhost.evil.example")),
    bad("a host with a path", "403 AccessDenied | 400 BadRequest", head(_GET, host="localhost/evil")),
    bad("a host with a user", "403 AccessDenied | 400 BadRequest", head(_GET, host="x@localhost")),
    bad("a host of 10 KB", "403 AccessDenied | 400 BadRequest", head(_GET, host="h" * 10_000)),
    bad("a request of a web page elsewhere", "403 AccessDenied", head(_GET, "Origin: http://evil.example")),
    bad("a request through a proxy", "403 AccessDenied", head(_GET, "X-Forwarded-For: 1.2.3.4")),
    bad("an unknown expectation", "404 NoSuchKey | 400 BadRequest", head(_GET, "Expect: 200-miracle")),
    bad(
        "an upgrade to a web socket", "404 NoSuchKey", head(_GET, "Connection: Upgrade", "Upgrade: websocket")
    ),
    bad(
        "an upgrade, and bytes that are no HTTP",
        "404 NoSuchKey | 400 BadRequest",
        head(_GET, "Connection: Upgrade", "Upgrade: websocket") + b"\x81\x85" + b"x" * 3000,
        more_answers=1,
    ),
    bad(
        "an upgrade to HTTP/2",
        "404 NoSuchKey",
        head(
            _GET,
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        ),
    ),
    bad("a connection field of nonsense", "404 NoSuchKey", head(_GET, "Connection: ,,, ,frob;=,")),
    bad(
        "three KB of metadata",
        "400 MetadataTooLarge",
        put("meta", f"x-amz-meta-a: {'v' * 3000}", "Content-Length: 1", body=b"x"),
    ),
    bad(
        "300 fields of metadata",
        "400 MetadataTooLarge",
        put(
            "metas",
            *(f"x-amz-meta-{number}: vvvvvvvv" for number in range(300)),
            "Content-Length: 1",
            body=b"x",
        ),
    ),
    bad(
        "a storage class of nonsense",
        "400 InvalidStorageClass",
        put("class", "x-amz-storage-class: FROB", "Content-Length: 1", body=b"x"),
    ),
    bad(
        "an acl of nonsense",
        "501 NotImplemented | 400 InvalidArgument",
        put("acl", "x-amz-acl: frob", "Content-Length: 1", body=b"x"),
    ),
    bad(
        "an MD5 that is none",
        "400 InvalidDigest",
        put("md5", "Content-MD5: nonsense", "Content-Length: 1", body=b"x"),
    ),
    bad("an MD5 of nothing", "400 InvalidDigest", put("md5", "Content-MD5:", "Content-Length: 1", body=b"x")),
    bad(
        "another MD5",
        "400 BadDigest",
        put("md5", "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==", "Content-Length: 1", body=b"x"),
    ),
    bad(
        "an MD5 of two values",
        "400 InvalidDigest",
        put(
            "md5",
            "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==",
            "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==",
            "Content-Length: 1",
            body=b"x",
        ),
    ),
    bad(
        "a checksum that is none",
        "400 InvalidRequest",
        put("crc", "x-amz-checksum-crc32: !!!!", "Content-Length: 1", body=b"x"),
    ),
    bad(
        "a checksum of another length",
        "400 InvalidRequest",
        put("crc", "x-amz-checksum-crc32: AAAAAAAAAAA=", "Content-Length: 1", body=b"x"),
    ),
    bad(
        "another checksum",
        "400 BadDigest",
        put("crc", "x-amz-checksum-crc32: AAAAAA==", "Content-Length: 1", body=b"x"),
    ),
    bad(
        "two checksums",
        "400 InvalidRequest",
        put(
            "crc",
            "x-amz-checksum-crc32: AAAAAA==",
            "x-amz-checksum-sha1: AAAA",
            "Content-Length: 1",
            body=b"x",
        ),
    ),
    bad(
        "an algorithm of nonsense",
        "400 InvalidRequest",
        put("crc", "x-amz-sdk-checksum-algorithm: FROB", "Content-Length: 1", body=b"x"),
    ),
    bad(
        "another SHA-256",
        "400 XAmzContentSHA256Mismatch",
        put("sha", f"x-amz-content-sha256: {'0' * 64}", "Content-Length: 1", body=b"x"),
    ),
    bad(
        "a SHA-256 of nonsense",
        "400 InvalidArgument",
        put("sha", "x-amz-content-sha256: nonsense", "Content-Length: 1", body=b"x"),
    ),
    bad(
        "a copy source of nothing",
        "400 InvalidArgument",
        put("copy", "x-amz-copy-source:", "Content-Length: 0"),
    ),
    bad(
        "a copy source of a bucket",
        "400 InvalidArgument",
        put("copy", "x-amz-copy-source: hostile", "Content-Length: 0"),
    ),
    bad(
        "a copy source that climbs",
        "404 NoSuchKey",
        put("copy", "x-amz-copy-source: /hostile/../../etc/passwd", "Content-Length: 0"),
    ),
    bad(
        "a copy source that is no UTF-8",
        "400 InvalidArgument",
        put("copy", "x-amz-copy-source: /hostile/%ff", "Content-Length: 0"),
    ),
    bad(
        "a copy source of 4 KB",
        "400 InvalidArgument | 400 KeyTooLongError | 404 NoSuchKey",
        put("copy", "x-amz-copy-source: /hostile/" + "k" * 4000, "Content-Length: 0"),
    ),
    bad(
        "a copy source with an unknown query",
        "400 InvalidArgument",
        put("copy", "x-amz-copy-source: /hostile/a?frob=1", "Content-Length: 0"),
    ),
    bad(
        "a copy onto itself",
        "400 InvalidRequest | 404 NoSuchKey",
        put("copy", "x-amz-copy-source: /hostile/partial/copy", "Content-Length: 0"),
    ),
    bad(
        "a directive of nonsense",
        "400 InvalidArgument",
        put("copy", "x-amz-copy-source: /hostile/a", "x-amz-metadata-directive: FROB", "Content-Length: 0"),
    ),
    bad("a cookie of 15 KB", "404 NoSuchKey", head(_GET, "Cookie: " + "c" * 15_000)),
    bad(
        "ranges of nonsense are ignored",
        "404 NoSuchKey",
        head(_GET, "Range: bytes=" + ",".join("0-0" for _ in range(3000))),
    ),
    bad(
        "conditions of nonsense",
        "404 NoSuchKey",
        head(_GET, "If-Match: " + '"a",' * 3000, "If-Modified-Since: frob"),
    ),
    bad("a body to GET", "404 NoSuchKey", request(_GET, body=b"x" * 100)),
    bad("a body to DELETE", "204", request("DELETE /hostile/none HTTP/1.1", body=b"x" * 100)),
    bad("a body to HEAD", "404", request("HEAD /hostile/none HTTP/1.1", body=b"x" * 100)),
]
