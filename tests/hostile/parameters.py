"""Query parameters and numbers: negative, overflowing, duplicate, contradictory."""

from __future__ import annotations

from tests.hostile.case import PARTIAL, Case, bad, head, request

__all__ = ["PARAMETERS"]

_INVALID = "400 InvalidArgument"
_HUGE = "9" * 5000


def _list(query: str, answers: str = _INVALID) -> Case:
    return bad(f"list: {query[:60]}", answers, head(f"GET /hostile?{query} HTTP/1.1"))


def _get(query: str, answers: str) -> Case:
    return bad(f"get: {query[:60]}", answers, head(f"GET /hostile/present?{query} HTTP/1.1"))


def _put(query: str, answers: str) -> Case:
    return bad(f"put: {query[:60]}", answers, request(f"PUT {PARTIAL}parameters?{query} HTTP/1.1", body=b"x"))


PARAMETERS: list[Case] = [
    _list("max-keys=-1"),
    _list("max-keys=1e3"),
    _list("max-keys=0x10"),
    _list("max-keys=%2b5"),
    _list("max-keys=5.0"),
    _list("max-keys=%205"),
    _list("max-keys=%D9%A5"),
    _list("max-keys=2147483648"),
    _list("max-keys=18446744073709551616"),
    _list(f"max-keys={_HUGE}"),
    _list("max-keys=abc&max-keys=abc"),
    _list("max-keys=5&max-keys=5"),
    _list("prefix=a&prefix=b"),
    _list("prefix=a&pre%66ix=b"),
    _list("prefix=%ff"),
    _list("prefix=%zz"),
    _list("prefix=%"),
    _list("%ff=1"),
    _list("delimiter=%c0%af"),
    _list("encoding-type=frob"),
    _list("encoding-type=URL"),
    _list("list-type=2&continuation-token="),
    _list("list-type=2&continuation-token=frob", "400 InvalidArgument | 200"),
    _list("list-type=2&continuation-token=" + "A" * 8000, "400 InvalidArgument | 200 | 400 KeyTooLongError"),
    _list("list-type=2&list-type=2"),
    _list("list-type=-2", "200 | 400 InvalidArgument"),
    _list("list-type=2&start-after=" + "k" * 8000, "200 | 400 InvalidArgument | 400 KeyTooLongError"),
    _list("prefix=" + "p" * 8000, "200 | 400 InvalidArgument | 400 KeyTooLongError"),
    _list("marker=" + "m" * 8000, "200 | 400 InvalidArgument | 400 KeyTooLongError"),
    _list("delimiter=" + "d" * 8000, "200 | 400 InvalidArgument | 400 KeyTooLongError"),
    _list("marker=%00", "200"),
    _list("prefix=%00%01%ef%bf%bf", "200"),
    _list("versions&version-id-marker=x"),
    _list("uploads&max-uploads=-5"),
    _list("uploads&max-uploads=99999999999"),
    _list("uploads&versions"),
    _list("acl&policy"),
    _list("acl=1&acl=2"),
    _list("policy", "404 NoSuchBucketPolicy"),
    _list("&".join(f"p{number}=v" for number in range(2000)), "200"),
    _list("=&==&=x", _INVALID + " | 200"),
    bad(
        "two keys of a presigned request",
        _INVALID,
        head("GET /hostile/none?AWSAccessKeyId=a&AWSAccessKeyId=b HTTP/1.1"),
    ),
    bad("buckets: a negative page", _INVALID, head("GET /?max-buckets=-1 HTTP/1.1")),
    bad("buckets: a page of zero", _INVALID, head("GET /?max-buckets=0 HTTP/1.1")),
    bad("buckets: a huge page", _INVALID, head("GET /?max-buckets=10001 HTTP/1.1")),
    _get("partNumber=0", _INVALID),
    _get("partNumber=-1", _INVALID),
    _get("partNumber=10001", _INVALID),
    _get(f"partNumber={_HUGE}", _INVALID),
    _get("partNumber=1&partNumber=2", _INVALID),
    _get("partNumber=", _INVALID),
    _get("versionId=frob", "404 NoSuchVersion | 400 InvalidArgument"),
    _get("versionId=", "400 InvalidArgument | 404 NoSuchVersion | 200"),
    _get("versionId=" + "v" * 8000, "404 NoSuchVersion | 400 InvalidArgument"),
    _get("uploadId=none", "404 NoSuchUpload"),
    _get("uploadId=", "404 NoSuchUpload"),
    _get("uploadId=%00", "404 NoSuchUpload"),
    _get("uploadId=" + "u" * 8000, "404 NoSuchUpload"),
    _get("uploadId=..%2f..%2f", "404 NoSuchUpload"),
    _get("uploadId=none&max-parts=-1", _INVALID + " | 404 NoSuchUpload"),
    _get("uploadId=none&part-number-marker=-1", _INVALID + " | 404 NoSuchUpload"),
    _get("response-content-type=text/html", "400 InvalidRequest"),
    _get("response-content-type=a%0d%0aSet-Cookie:x", "400 InvalidRequest | 400 InvalidArgument"),
    _get("torrent", "501 NotImplemented | 405 MethodNotAllowed"),
    _put("partNumber=1", _INVALID),
    _put("uploadId=none", _INVALID),
    _put("partNumber=0&uploadId=none", _INVALID),
    _put("partNumber=-1&uploadId=none", _INVALID),
    _put("partNumber=1.5&uploadId=none", _INVALID),
    _put("partNumber=1&uploadId=none", "404 NoSuchUpload"),
    _put("partNumber=1&uploadId=none&uploadId=other", _INVALID),
    _put("partNumber=99999999999999999999&uploadId=none", _INVALID),
    _put("acl", "404 NoSuchKey"),
    _put("frob=1&frob=2", _INVALID),
    bad(
        "complete no upload",
        "404 NoSuchUpload | 400 MalformedXML",
        request("POST /hostile/partial/x?uploadId=none HTTP/1.1", body=b"<CompleteMultipartUpload/>"),
    ),
    bad("abort no upload", "404 NoSuchUpload", head("DELETE /hostile/partial/x?uploadId=none HTTP/1.1")),
    bad("post to an object", "405 MethodNotAllowed", request("POST /hostile/partial/x HTTP/1.1", body=b"x")),
    bad(
        "a form",
        "501 NotImplemented | 400 MalformedPOSTRequest",
        request("POST /hostile HTTP/1.1", "Content-Type: multipart/form-data; boundary=x", body=b"--x--"),
    ),
    bad(
        "select",
        "501 NotImplemented",
        request("POST /hostile/none?select&select-type=2 HTTP/1.1", body=b"<SelectRequest/>"),
    ),
    bad(
        "a range beyond 64 bits",
        "404 NoSuchKey",
        head("GET /hostile/none HTTP/1.1", f"Range: bytes={_HUGE}-"),
    ),
    bad(
        "an unsatisfiable range of an object",
        "416 InvalidRange",
        head("GET /hostile/present HTTP/1.1", f"Range: bytes={'9' * 15}-"),
    ),
    bad(
        "a range of 5000 digits of an object",
        "200 | 416 InvalidRange",
        head("GET /hostile/present HTTP/1.1", f"Range: bytes={_HUGE}-{_HUGE}"),
    ),
    bad(
        "a negative range of an object",
        "200 | 416 InvalidRange",
        head("GET /hostile/present HTTP/1.1", "Range: bytes=-0"),
    ),
    bad(
        "a range that runs backwards",
        "200 | 416 InvalidRange",
        head("GET /hostile/present HTTP/1.1", "Range: bytes=5-2"),
    ),
    bad(
        "3000 ranges of an object",
        "200 | 416 InvalidRange | 206",
        head("GET /hostile/present HTTP/1.1", "Range: bytes=" + ",".join("0-" for _ in range(3000))),
    ),
    bad(
        "a part that the object has not",
        "416 InvalidPartNumber",
        head("GET /hostile/present?partNumber=2 HTTP/1.1"),
    ),
    bad(
        "a part and a range",
        "400 InvalidRequest | 206",
        head("GET /hostile/present?partNumber=1 HTTP/1.1", "Range: bytes=0-0"),
    ),
]
