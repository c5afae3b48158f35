"""Clients that leave, half-close, stall or send the next request too early."""

from __future__ import annotations

from tests.hostile.case import CLOSED, PARTIAL, Case, Then, bad, head, put, request

__all__ = ["CUT_SHORT", "STALLED"]

_SOON = "400 BadRequest | 400 IncompleteBody | closed"
_LARGE = 3_000_000
_PUT = put("cut", f"Content-Length: {_LARGE}")
_SMALL = put("cut", "Content-Length: 100")
_CHUNKED = put("cut", "Transfer-Encoding: chunked")
_AWS = put(
    "cut",
    "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "x-amz-decoded-content-length: 5",
    "x-amz-trailer: x-amz-checksum-crc32",
    "Content-Length: 50",
)
_STAGES: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("one byte", b"P"),
    ("half a request line", _PUT[:12]),
    ("a request line", _PUT.partition(b"\r\n")[0] + b"\r\n"),
    ("half a head", _PUT[:-10]),
    ("a head without its last line feed", _PUT[:-1]),
    ("a head", _PUT),
    ("a head of a small object", _SMALL),
    ("99 of 100 bytes", _SMALL + b"x" * 99),
    ("half of 3 MB", _PUT + bytes(_LARGE // 2)),
    ("all of 3 MB but a byte", _PUT + bytes(_LARGE - 1)),
    ("a chunk's size", _CHUNKED + b"5\r\n"),
    ("half a chunk", _CHUNKED + b"5\r\nhel"),
    ("a chunk without its end", _CHUNKED + b"5\r\nhello"),
    ("chunks without the last", _CHUNKED + b"100000\r\n" + bytes(1 << 20) + b"\r\n"),
    ("the last chunk without its end", _CHUNKED + b"5\r\nhello\r\n0\r\n"),
    ("half an aws-chunk", _AWS + b"5\r\nhel"),
    ("half an aws-trailer", _AWS + b"5\r\nhello\r\n0\r\nx-amz-check"),
    ("half a document", head("POST /hostile?delete HTTP/1.1", "Content-Length: 500") + b"<Delete><Object>"),
]

CUT_SHORT: list[Case] = [
    *(bad(f"leaves after {name}", CLOSED, wire, then=Then.LEAVE) for name, wire in _STAGES),
    *(bad(f"resets after {name}", CLOSED, wire, then=Then.RESET) for name, wire in _STAGES),
    *(bad(f"half-closes after {name}", _SOON, wire, then=Then.HALF_CLOSE) for name, wire in _STAGES),
    bad(
        "half-closes after a whole request",
        "404 NoSuchKey | closed",
        head("GET /hostile/none HTTP/1.1"),
        then=Then.HALF_CLOSE,
    ),
    bad("leaves while a large answer comes", CLOSED, head("GET /hostile/large HTTP/1.1"), then=Then.LEAVE),
    bad("resets while a large answer comes", CLOSED, head("GET /hostile/large HTTP/1.1"), then=Then.RESET),
    bad(
        "half-closes while a large answer comes",
        "200 | closed",
        head("GET /hostile/present HTTP/1.1"),
        then=Then.HALF_CLOSE,
    ),
    bad(
        "the next request after a refused body",
        "404 NoSuchBucket | 404 NoSuchKey",
        request("PUT /hostile-none/a HTTP/1.1", body=b"x" * 1000) + head("GET /hostile/none HTTP/1.1"),
        more_answers=1,
    ),
    bad(
        "the next request after a refused large body",
        "404 NoSuchBucket | 404 NoSuchKey | closed",
        request("PUT /hostile-none/a HTTP/1.1", body=b"x" * 200_000) + head("GET /hostile/none HTTP/1.1"),
        more_answers=1,
    ),
    bad(
        "the next request after one that cannot be parsed",
        "400 BadRequest",
        b"FROB\r\n\r\n" + request(f"PUT {PARTIAL}after HTTP/1.1", body=b"x"),
    ),
    bad(
        "the next request after a broken chunk",
        "400 BadRequest | 400 IncompleteBody | closed",
        _CHUNKED + b"nonsense\r\n" + request(f"PUT {PARTIAL}after HTTP/1.1", body=b"x"),
    ),
    bad(
        "the next request behind Connection: close",
        "404 NoSuchKey | 400 BadRequest",
        head("GET /hostile/none HTTP/1.1", "Connection: close")
        + request(f"PUT {PARTIAL}after HTTP/1.1", body=b"x"),
    ),
    bad("100 requests at once", "404 NoSuchKey", head("GET /hostile/none HTTP/1.1") * 100, more_answers=99),
    bad("2000 requests at once", "200", head("GET /hostile?max-keys=0 HTTP/1.1") * 2000, more_answers=1999),
    bad("2000 requests, and gone", CLOSED, head("GET /hostile?max-keys=0 HTTP/1.1") * 2000, then=Then.RESET),
    bad(
        "100 requests of large answers, and gone",
        CLOSED,
        head("GET /hostile/large HTTP/1.1") * 100,
        then=Then.RESET,
    ),
    bad(
        "a body that was to wait for 100",
        "404 NoSuchBucket",
        head("PUT /hostile-none/a HTTP/1.1", "Expect: 100-continue", "Content-Length: 5") + b"hello",
    ),
    bad(
        "leaves instead of a body after 100",
        CLOSED,
        put("cut", "Expect: 100-continue", "Content-Length: 5"),
        then=Then.LEAVE,
    ),
    bad(
        "half-closes instead of a body after 100",
        _SOON,
        put("cut", "Expect: 100-continue", "Content-Length: 5"),
        then=Then.HALF_CLOSE,
    ),
]

STALLED: list[Case] = [
    *(
        bad(f"stalls after {name}", _SOON + " | 400 RequestTimeout | 408 RequestTimeout", wire)
        for name, wire in _STAGES
    ),
]
"""The server has to end these by its time-outs."""
