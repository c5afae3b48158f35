"""Requests whose end two parsers could see in different places (RFC 9112, 6.3 and 11.2)."""

from __future__ import annotations

from tests.hostile.case import PARTIAL, Case, Then, bad, head, put, request

__all__ = ["SMUGGLING"]

_UNPARSABLE = "400 BadRequest | closed"
_CHUNKED = "Transfer-Encoding: chunked"
_UNKNOWN_CODING = "400 BadRequest | 501 NotImplemented | closed"
_END = b"0\r\n\r\n"
_HIDDEN = request(f"PUT {PARTIAL}hidden HTTP/1.1", body=b"smuggled")
_BROKEN = "400 IncompleteBody | 400 BadRequest | closed"


def _with(name: str, *fields: str | bytes, body: bytes = _END + _HIDDEN, answers: str = _UNPARSABLE) -> Case:
    return bad(name, answers, put("smuggled", *fields, body=body))


def _chunk(name: str, wire: bytes, answers: str = _BROKEN, then: str = Then.READ) -> Case:
    return bad(name, answers, put("chunk", _CHUNKED), wire, then=then)


_LENGTHS: list[Case] = [
    _with("length and chunked", "Content-Length: 5", _CHUNKED),
    _with("chunked and length", _CHUNKED, "Content-Length: 5"),
    _with("length 0 and chunked", "Content-Length: 0", _CHUNKED),
    _with("two lengths", "Content-Length: 5", "Content-Length: 6"),
    _with("twice the same length", "Content-Length: 5", "Content-Length: 5"),
    _with("lengths in one field", "Content-Length: 5, 5"),
    _with("two lengths in one field", "Content-Length: 5, 6"),
    _with("a length with a plus", "Content-Length: +5"),
    _with("a length with a minus", "Content-Length: -5"),
    _with("minus nothing", "Content-Length: -0"),
    _with("a length with a blank inside", "Content-Length: 5 5"),
    _with("a length in hex", "Content-Length: 0x5"),
    _with("a length with a point", "Content-Length: 5.0"),
    _with("a length with an exponent", "Content-Length: 1e2"),
    _with("a length with an underscore", "Content-Length: 1_0"),
    _with("a length in quotes", 'Content-Length: "5"'),
    _with("an empty length", "Content-Length:"),
    _with("a length of letters", "Content-Length: five"),
    _with("a length in Arabic digits", "Content-Length: ٥".encode()),
    _with("a length beyond 64 bits", "Content-Length: 18446744073709551617"),
    _with(
        "a length of 64 bits",
        "Content-Length: 18446744073709551615",
        answers="400 BadRequest | 400 EntityTooLarge | closed",
    ),
    _with(
        "a length of 63 bits",
        "Content-Length: 9223372036854775807",
        answers="400 BadRequest | 400 EntityTooLarge | 400 InvalidArgument | closed",
    ),
    _with("a length of 1000 digits", "Content-Length: " + "9" * 1000),
    _with("a length of 5 GiB and one", "Content-Length: 5368709121", answers="400 EntityTooLarge"),
    _with("a blank before the colon of the length", "Content-Length : 5"),
    _with("a tab before the colon of the length", "Content-Length\t: 5"),
    _with("a folded length", "Content-Length:", " 5"),
    _with("a vertical tab before the length", "Content-Length: \x0b5"),
    _with("NUL behind the length", b"Content-Length: 5\0"),
    _with("a semicolon behind the length", "Content-Length: 5;q=1"),
]

_CODINGS: list[Case] = [
    _with("chunked twice in one field", "Transfer-Encoding: chunked, chunked"),
    _with("chunked twice", _CHUNKED, _CHUNKED),
    _with("chunked, identity", "Transfer-Encoding: chunked, identity"),
    _with("identity, chunked", "Transfer-Encoding: identity, chunked", answers=_UNKNOWN_CODING),
    _with("identity", "Transfer-Encoding: identity", answers=_UNKNOWN_CODING),
    _with("gzip, chunked", "Transfer-Encoding: gzip, chunked", answers=_UNKNOWN_CODING),
    _with("gzip", "Transfer-Encoding: gzip", answers=_UNKNOWN_CODING),
    _with("gzip in a field of its own", "Transfer-Encoding: gzip", _CHUNKED, answers=_UNKNOWN_CODING),
    _with("xchunked", "Transfer-Encoding: xchunked"),
    _with("chunked with a parameter", "Transfer-Encoding: chunked;q=1"),
    _with("chunked in quotes", 'Transfer-Encoding: "chunked"'),
    _with("chunked behind a vertical tab", "Transfer-Encoding: \x0bchunked"),
    _with("chunked with NUL", b"Transfer-Encoding: chunked\0"),
    _with("an empty coding", "Transfer-Encoding:"),
    _with("a comma alone", "Transfer-Encoding: ,"),
    _with("a blank before the colon", "Transfer-Encoding : chunked"),
    _with("a folded coding", "Transfer-Encoding:", " chunked"),
    _with("a coding behind a bare LF", b"X-A: b\nTransfer-Encoding: chunked"),
    _with("a coding behind a bare CR", b"X-A: b\rTransfer-Encoding: chunked"),
    bad(
        "chunked in HTTP/1.0",
        _UNPARSABLE,
        head(f"PUT {PARTIAL}old HTTP/1.0", _CHUNKED) + b"5\r\nhello\r\n" + _END,
    ),
    bad(
        "a body after no length",
        "411 MissingContentLength | 400 BadRequest",
        put("lengthless", body=b"GARBAGE\r\n\r\n"),
        more_answers=1,
    ),
]

_CHUNKS: list[Case] = [
    _chunk("a chunk size of no digits", b"\r\nhello\r\n"),
    _chunk("a chunk size of letters", b"xyz\r\nhello\r\n"),
    _chunk("a negative chunk size", b"-5\r\nhello\r\n"),
    _chunk("a chunk size with a plus", b"+5\r\nhello\r\n"),
    _chunk("a chunk size with 0x", b"0x5\r\nhello\r\n"),
    _chunk("a chunk size with an underscore", b"1_0\r\nhello\r\n"),
    _chunk("a chunk size beyond 64 bits", b"fffffffffffffffff\r\nhello\r\n"),
    _chunk(
        "a chunk size of 64 bits",
        b"ffffffffffffffff\r\nhello\r\n",
        _BROKEN + " | 400 EntityTooLarge",
        Then.HALF_CLOSE,
    ),
    _chunk(
        "a chunk size of 63 bits",
        b"7fffffffffffffff\r\nhello\r\n",
        _BROKEN + " | 400 EntityTooLarge",
        Then.HALF_CLOSE,
    ),
    _chunk("a chunk size of 1000 digits", b"5" * 1000 + b"\r\nhello\r\n"),
    _chunk("a chunk size of 1 MB of zeros", b"0" * 1_000_000 + b"5\r\nhello\r\n", then=Then.HALF_CLOSE),
    _chunk("a blank before the chunk size", b" 5\r\nhello\r\n"),
    _chunk("a chunk size that ends in LF", b"5\nhello\r\n0\r\n\r\n"),
    _chunk("a chunk size that ends in CR", b"5\rhello\r\n0\r\n\r\n"),
    _chunk("a chunk that ends in LF", b"5\r\nhello\n0\r\n\r\n"),
    _chunk("a chunk that is longer than it says", b"5\r\nhello!\r\n0\r\n\r\n"),
    _chunk("a chunk that is shorter than it says", b"5\r\nhell\r\n0\r\n\r\n"),
    bad(
        "an extension of 1 MB",
        f"200 | {_BROKEN}",
        head("PUT /hostile/whole HTTP/1.1", _CHUNKED) + b"5;x=" + b"y" * 1_000_000 + b"\r\nhello\r\n" + _END,
    ),
    _chunk(
        "extensions of 1 KB on 20,000 chunks, and no end",
        (b"1;x=" + b"y" * 1000 + b"\r\nz\r\n") * 20_000,
        then=Then.HALF_CLOSE,
    ),
    _chunk("an extension with a bare LF", b"5;x=y\nhello\r\n0\r\n\r\n"),
    _chunk("an extension with NUL", b"5;x=\0\r\nhello\r\n0\r\n\r\n"),
    _chunk("a trailer that sets the length", b"5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n"),
    _chunk("a trailer that sets the coding", b"5\r\nhello\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n"),
    bad(
        "chunk extensions within reason",
        "200",
        head("PUT /hostile/whole HTTP/1.1", _CHUNKED) + b'5;a;b=c;d="e"\r\nhello\r\n0;last\r\n\r\n',
    ),
    _chunk("a trailer without a colon", b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n"),
    _chunk("a trailer with NUL", b"5\r\nhello\r\n0\r\nX-A: \0\r\n\r\n"),
    _chunk(
        "a trailer of 1 MB",
        b"5\r\nhello\r\n0\r\nX-A: " + b"v" * 1_000_000 + b"\r\n\r\n",
        _BROKEN + " | 400 RequestHeaderSectionTooLarge",
    ),
    _chunk("100,000 trailers", b"5\r\nhello\r\n0\r\n" + b"X-A: v\r\n" * 100_000 + b"\r\n"),
    _chunk("the end of the last chunk is missing", b"5\r\nhello\r\n0\r\n", then=Then.HALF_CLOSE),
    _chunk("the last chunk is missing", b"5\r\nhello\r\n", then=Then.HALF_CLOSE),
    _chunk("a request in place of a chunk", _HIDDEN),
]

SMUGGLING: list[Case] = [*_LENGTHS, *_CODINGS, *_CHUNKS]
