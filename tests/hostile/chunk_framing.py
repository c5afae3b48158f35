"""Malformations of aws-chunked bodies, signed and unsigned."""

from __future__ import annotations

from collections.abc import Callable

from tests.hostile.case import Case, Then, bad, head, put
from tests.hostile.signer import Signed, Signer

__all__ = ["CHUNK_FRAMING"]

_INCOMPLETE = "400 IncompleteBody"
_UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
_PATH = "/hostile-signed/partial/chunks"
_GOOD_TRAILER = b"x-amz-checksum-crc32:NhCmhg==\r\n"  # of "hello"


def _unsigned(
    name: str,
    body: bytes,
    answers: str = _INCOMPLETE,
    *,
    declared: str = "5",
    trailer: str = "x-amz-checksum-crc32",
    then: str = Then.READ,
) -> Case:
    fields = [
        f"x-amz-content-sha256: {_UNSIGNED}",
        f"x-amz-decoded-content-length: {declared}",
        f"x-amz-trailer: {trailer}",
        "Content-Encoding: aws-chunked",
        f"Content-Length: {len(body)}",
    ]
    return bad(f"unsigned: {name}", answers, put("chunks", *fields), body, then=then)


def _signed(
    name: str,
    make: Callable[[Signed], bytes],
    answers: str,
    *,
    declared: int = 5,
    mode: str = _SIGNED,
    more: tuple[tuple[str, str], ...] = (),
) -> Case:
    def wire(signer: Signer) -> bytes:
        fields = (("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", str(declared)), *more)
        signed = signer.sign("PUT", _PATH, payload=mode, more=fields)
        body = make(signed)
        return head(f"PUT {_PATH} HTTP/1.1", *signed.fields, f"Content-Length: {len(body)}") + body

    return bad(f"signed: {name}", answers, wire)


def _second_of_another(signed: Signed) -> bytes:
    first, signature = signed.chunk(b"hel", signed.signature)
    second, _ = signed.chunk(b"lo", signed.signature)  # chained to the seed, not to the first
    last, _ = signed.chunk(b"", signature)
    return first + second + last


def _swapped(signed: Signed) -> bytes:
    first, signature = signed.chunk(b"hel", signed.signature)
    second, signature = signed.chunk(b"lo", signature)
    last, _ = signed.chunk(b"", signature)
    return second + first + last


def _altered(signed: Signed) -> bytes:
    return signed.chunks(b"hello").replace(b"hello", b"hellO")


def _trailed(signed: Signed, lines: list[str], *, signature: str | None = None) -> bytes:
    first, previous = signed.chunk(b"hello", signed.signature)
    last, previous = signed.chunk(b"", previous)
    proof = signed.trailer(lines, previous) if signature is None else signature
    body = first + last.removesuffix(b"\r\n")
    body += "".join(f"{line}\r\n" for line in lines).encode()
    return body + (f"x-amz-trailer-signature:{proof}\r\n".encode() if proof else b"") + b"\r\n"


_TRAILER_MODE = f"{_SIGNED}-TRAILER"
_TRAILER_FIELD = (("x-amz-trailer", "x-amz-checksum-crc32"),)

CHUNK_FRAMING: list[Case] = [
    _unsigned("nothing", b""),
    _unsigned("no digits", b"\r\nhello\r\n0\r\n\r\n"),
    _unsigned("no hex", b"zz\r\nhello\r\n0\r\n\r\n"),
    _unsigned("a sign", b"+5\r\nhello\r\n0\r\n\r\n"),
    _unsigned("a negative size", b"-5\r\nhello\r\n0\r\n\r\n"),
    _unsigned("0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    _unsigned("a blank", b" 5\r\nhello\r\n0\r\n\r\n"),
    _unsigned("17 digits", b"00000000000000005\r\nhello\r\n0\r\n" + _GOOD_TRAILER + b"\r\n", _INCOMPLETE),
    _unsigned("1000 digits", b"f" * 1000 + b"\r\nhello\r\n0\r\n\r\n"),
    _unsigned("1 MB of zeros", b"0" * 1_000_000),
    _unsigned("64 bits", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    _unsigned("more than was declared", b"6\r\nhello!\r\n0\r\n\r\n"),
    _unsigned("less than was declared", b"4\r\nhell\r\n0\r\n\r\n"),
    _unsigned("LF alone", b"5\nhello\n0\n\n"),
    _unsigned("no end of the chunk", b"5\r\nhello0\r\n\r\n"),
    _unsigned("a longer chunk", b"5\r\nhello!\r\n0\r\n\r\n"),
    _unsigned("no last chunk", b"5\r\nhello\r\n"),
    _unsigned("cut in a chunk", b"5\r\nhel"),
    _unsigned("cut in a header", b"5"),
    _unsigned("bytes behind the end", b"5\r\nhello\r\n0\r\n" + _GOOD_TRAILER + b"\r\nmore"),
    _unsigned(
        "a signature where none belongs", b"5;chunk-signature=" + b"0" * 64 + b"\r\nhello\r\n0\r\n\r\n"
    ),
    _unsigned("an unknown extension", b"5;frob=1\r\nhello\r\n0\r\n\r\n"),
    _unsigned("no trailer", b"5\r\nhello\r\n0\r\n\r\n", "400 MalformedTrailerError"),
    _unsigned(
        "another trailer", b"5\r\nhello\r\n0\r\nx-amz-checksum-sha1:AAAA\r\n\r\n", "400 MalformedTrailerError"
    ),
    _unsigned(
        "a trailer twice", b"5\r\nhello\r\n0\r\n" + _GOOD_TRAILER * 2 + b"\r\n", "400 MalformedTrailerError"
    ),
    _unsigned(
        "a trailer without a colon", b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n", "400 MalformedTrailerError"
    ),
    _unsigned(
        "a trailer of 100 KB",
        b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:" + b"A" * 100_000 + b"\r\n\r\n",
        "400 MalformedTrailerError",
    ),
    _unsigned(
        "10,000 trailers",
        b"5\r\nhello\r\n0\r\n" + b"x-a:b\r\n" * 10_000 + b"\r\n",
        "400 MalformedTrailerError",
    ),
    _unsigned(
        "a trailer with NUL",
        b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:\0\r\n\r\n",
        "400 MalformedTrailerError",
    ),
    _unsigned(
        "a trailer that ends in LF",
        b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\n\n",
        "400 MalformedTrailerError",
    ),
    _unsigned(
        "another checksum", b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", "400 BadDigest"
    ),
    _unsigned(
        "a checksum that is none",
        b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:!!!!\r\n\r\n",
        "400 InvalidRequest | 400 MalformedTrailerError",
    ),
    _unsigned(
        "a trailer field of nonsense",
        b"5\r\nhello\r\n0\r\nx-frob:1\r\n\r\n",
        "400 InvalidRequest | 400 MalformedTrailerError | 400 InvalidArgument",
        trailer="x-frob",
    ),
    _unsigned(
        "a trailer field of 5000 names",
        b"5\r\nhello\r\n0\r\n\r\n",
        "400 InvalidRequest | 400 MalformedTrailerError | 400 InvalidArgument",
        trailer=",".join(f"x-{n}" for n in range(2000)),
    ),
    _unsigned(
        "a declared length of letters", b"5\r\nhello\r\n0\r\n\r\n", "400 InvalidArgument", declared="five"
    ),
    _unsigned("a negative declared length", b"5\r\nhello\r\n0\r\n\r\n", "400 InvalidArgument", declared="-5"),
    _unsigned(
        "a declared length of 40 digits",
        b"5\r\nhello\r\n0\r\n\r\n",
        "400 InvalidArgument | 400 EntityTooLarge",
        declared="5" * 40,
    ),
    _unsigned(
        "a declared length of 6 GiB", b"5\r\nhello\r\n0\r\n\r\n", "400 EntityTooLarge", declared=str(6 << 30)
    ),
    _unsigned(
        "an empty declared length",
        b"5\r\nhello\r\n0\r\n\r\n",
        "400 InvalidArgument | 411 MissingContentLength",
        declared="",
    ),
    bad(
        "no declared length",
        "411 MissingContentLength",
        put("chunks", f"x-amz-content-sha256: {_UNSIGNED}", "Content-Length: 5", body=b"0\r\n\r\n"),
    ),
    bad(
        "signed chunks of nobody",
        "400 InvalidRequest",
        put(
            "chunks",
            f"x-amz-content-sha256: {_SIGNED}",
            "x-amz-decoded-content-length: 5",
            "Content-Length: 5",
            body=b"0\r\n\r\n",
        ),
    ),
    bad(
        "chunks of an asymmetric signature",
        "501 NotImplemented",
        put(
            "chunks",
            "x-amz-content-sha256: STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
            "Content-Length: 5",
            body=b"0\r\n\r\n",
        ),
    ),
    _signed("altered bytes", _altered, "403 SignatureDoesNotMatch"),
    _signed("a chunk out of the chain", _second_of_another, "403 SignatureDoesNotMatch"),
    _signed("chunks swapped", _swapped, "403 SignatureDoesNotMatch"),
    _signed("no signatures", lambda _: b"5\r\nhello\r\n0\r\n\r\n", _INCOMPLETE),
    _signed(
        "a signature of zeros",
        lambda _: b"5;chunk-signature=" + b"0" * 64 + b"\r\nhello\r\n0\r\n\r\n",
        "403 SignatureDoesNotMatch",
    ),
    _signed(
        "half a signature",
        lambda _: b"5;chunk-signature=" + b"0" * 32 + b"\r\nhello\r\n0\r\n\r\n",
        _INCOMPLETE + " | 403 SignatureDoesNotMatch",
    ),
    _signed(
        "a signature that is no hex",
        lambda _: b"5;chunk-signature=" + b"z" * 64 + b"\r\nhello\r\n0\r\n\r\n",
        _INCOMPLETE,
    ),
    _signed(
        "a signature of 1 MB",
        lambda _: b"5;chunk-signature=" + b"0" * 1_000_000 + b"\r\nhello\r\n0\r\n\r\n",
        _INCOMPLETE,
    ),
    _signed("no last chunk", lambda signed: signed.chunk(b"hello", signed.signature)[0], _INCOMPLETE),
    _signed(
        "an unsigned last chunk",
        lambda signed: signed.chunk(b"hello", signed.signature)[0] + b"0\r\n\r\n",
        _INCOMPLETE,
    ),
    _signed("less than was declared", lambda signed: signed.chunks(b"hell"), _INCOMPLETE),
    _signed("more than was declared", lambda signed: signed.chunks(b"hello!"), _INCOMPLETE),
    _signed(
        "a signed trailer where none was declared",
        lambda signed: _trailed(signed, ["x-amz-checksum-crc32:NhCmhg=="]),
        "400 MalformedTrailerError",
    ),
    _signed(
        "a trailer without its signature",
        lambda signed: _trailed(signed, ["x-amz-checksum-crc32:NhCmhg=="], signature=""),
        "400 MalformedTrailerError",
        mode=_TRAILER_MODE,
        more=_TRAILER_FIELD,
    ),
    _signed(
        "a trailer's signature of zeros",
        lambda signed: _trailed(signed, ["x-amz-checksum-crc32:NhCmhg=="], signature="0" * 64),
        "403 SignatureDoesNotMatch",
        mode=_TRAILER_MODE,
        more=_TRAILER_FIELD,
    ),
    _signed(
        "a signed trailer of another checksum",
        lambda signed: _trailed(signed, ["x-amz-checksum-crc32:AAAAAA=="]),
        "400 BadDigest",
        mode=_TRAILER_MODE,
        more=_TRAILER_FIELD,
    ),
]
