"""aws-chunked bodies: AWS's example, round trips in any split, and mutations that must never pass."""

from __future__ import annotations

import hmac
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerohop_proxy.aws_chunked import AwsChunkedDecoder
from zerohop_proxy.payload import ChunkSigning, PayloadMode, VerifiedPayload
from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.signature_v4 import signing_key

EMPTY = sha256(b"").hexdigest()
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SCOPE = "20130524/us-east-1/s3/aws4_request"
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
SIGNING = ChunkSigning(signing_key(SECRET, "20130524", "us-east-1"), SCOPE, "20130524T000000Z", SEED)

SIGNED = PayloadMode.STREAMING_SIGNED
SIGNED_TRAILER = PayloadMode.STREAMING_SIGNED_TRAILER
UNSIGNED_TRAILER = PayloadMode.STREAMING_UNSIGNED_TRAILER
MODES = [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER]


def payload_of(mode: PayloadMode, length: int, names: tuple[str, ...] = ()) -> VerifiedPayload:
    signing = SIGNING if mode.is_signed_chunks else None
    return VerifiedPayload("key", mode, None, signing, length, names)


def sign(text: str) -> str:
    return hmac.digest(SIGNING.signing_key, text.encode(), "sha256").hex()


def encode(mode: PayloadMode, chunks: list[bytes], trailers: dict[str, str]) -> bytes:
    """An encoder as a client has it; the chunks must not be empty."""
    wire, previous = b"", SEED
    for chunk in [*chunks, b""]:
        header = f"{len(chunk):x}"
        if mode.is_signed_chunks:
            previous = sign(
                f"AWS4-HMAC-SHA256-PAYLOAD\n{SIGNING.timestamp}\n{SCOPE}\n{previous}\n{EMPTY}\n"
                f"{sha256(chunk).hexdigest()}"
            )
            header += f";chunk-signature={previous}"
        wire += header.encode() + b"\r\n" + chunk + (b"\r\n" if chunk else b"")
    lines = [f"{name}:{value}" for name, value in trailers.items()]
    if mode is SIGNED_TRAILER:
        canonical = "".join(f"{line}\n" for line in lines)
        signature = sign(
            f"AWS4-HMAC-SHA256-TRAILER\n{SIGNING.timestamp}\n{SCOPE}\n{previous}\n"
            f"{sha256(canonical.encode()).hexdigest()}"
        )
        lines.append(f"x-amz-trailer-signature:{signature}")
    return wire + "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def decode(payload: VerifiedPayload, pieces: list[bytes]) -> tuple[bytes, dict[str, str]]:
    decoder = AwsChunkedDecoder(payload)
    out = b"".join(bytes(view) for piece in pieces for view in decoder.feed(piece))
    trailers = decoder.finish()
    assert decoder.verified_through == len(out)
    return out, trailers


def code_of(payload: VerifiedPayload, wire: bytes) -> str:
    with pytest.raises(S3Error) as caught:
        decode(payload, [wire])
    return caught.value.code


def test_published_example() -> None:
    # S3 API reference, "Transferring Payload in Multiple Chunks": 66,560 bytes of `a`.
    first = "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
    second = "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
    last = "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"
    wire = (
        f"10000;chunk-signature={first}\r\n{'a' * 65536}\r\n400;chunk-signature={second}\r\n{'a' * 1024}\r\n"
        f"0;chunk-signature={last}\r\n\r\n"
    ).encode()
    assert decode(payload_of(SIGNED, 66560), [wire]) == (b"a" * 66560, {})
    assert wire == encode(SIGNED, [b"a" * 65536, b"a" * 1024], {})


CHUNKS = st.lists(st.binary(min_size=1, max_size=50), max_size=5)


@given(st.sampled_from(MODES), CHUNKS, st.data())
def test_any_split_gives_the_same(mode: PayloadMode, chunks: list[bytes], data: st.DataObject) -> None:
    trailers = {"x-amz-checksum-crc32": "AAAAAA=="} if mode.has_trailer else {}
    wire = encode(mode, chunks, trailers)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    whole = b"".join(chunks)
    assert decode(payload_of(mode, len(whole), tuple(trailers)), pieces) == (whole, trailers)
    one_by_one = [wire[i : i + 1] for i in range(len(wire))]
    assert decode(payload_of(mode, len(whole), tuple(trailers)), one_by_one) == (whole, trailers)


@given(st.sampled_from([SIGNED, SIGNED_TRAILER]), CHUNKS, st.data())
def test_no_mutation_of_a_signed_body_passes_as_another(
    mode: PayloadMode, chunks: list[bytes], data: st.DataObject
) -> None:
    trailers = {"x-amz-checksum-crc32": "AAAAAA=="} if mode.has_trailer else {}
    wire = bytearray(encode(mode, chunks, trailers))
    position = data.draw(st.integers(0, len(wire) - 1))
    kind = data.draw(st.sampled_from(["flip", "drop", "insert", "cut"]))
    if kind == "flip":
        wire[position] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "drop":
        del wire[position]
    elif kind == "insert":
        wire.insert(position, data.draw(st.integers(0, 255)))
    else:
        del wire[position:]
    whole = b"".join(chunks)
    try:
        result = decode(payload_of(mode, len(whole), tuple(trailers)), [bytes(wire)])
    except S3Error:
        return
    assert result == (whole, trailers)  # such as `A` for `a` in a size, or a blank that is stripped


@given(st.sampled_from(MODES), st.binary(max_size=200))
def test_garbage_is_refused(mode: PayloadMode, wire: bytes) -> None:
    with pytest.raises(S3Error):
        decode(payload_of(mode, 7), [wire])


def test_missing_and_undeclared_trailers() -> None:
    wire = encode(UNSIGNED_TRAILER, [b"abc"], {"x-amz-checksum-crc32": "AAAAAA=="})
    assert code_of(payload_of(UNSIGNED_TRAILER, 3), wire) == "MalformedTrailerError"
    wanted = payload_of(UNSIGNED_TRAILER, 3, ("x-amz-checksum-crc32", "x-amz-checksum-sha1"))
    assert code_of(wanted, wire) == "MalformedTrailerError"
    unsigned = encode(UNSIGNED_TRAILER, [], {"a": "b"})
    assert code_of(payload_of(SIGNED_TRAILER, 0, ("a",)), unsigned) == "IncompleteBody"


def test_a_signed_trailer_needs_its_signature() -> None:
    wire = encode(SIGNED_TRAILER, [b"abc"], {"x-amz-checksum-crc32": "AAAAAA=="})
    payload = payload_of(SIGNED_TRAILER, 3, ("x-amz-checksum-crc32",))
    start = wire.index(b"x-amz-trailer-signature")
    assert code_of(payload, wire[:start] + b"\r\n") == "MalformedTrailerError"
    assert code_of(payload, wire.replace(b"AAAAAA==", b"BBBBBB==")) == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"", "IncompleteBody"),
        (b"3\r\nabc\r\n", "IncompleteBody"),
        (b"3\r\nabc\r\n0\r\n", "IncompleteBody"),
        (b"2\r\nab\r\n0\r\n\r\n", "IncompleteBody"),
        (b"4\r\nabcd\r\n0\r\n\r\n", "IncompleteBody"),
        (b"3\r\nabcd\r\n0\r\n\r\n", "IncompleteBody"),
        (b"3\nabc\r\n0\r\n\r\n", "IncompleteBody"),
        (b"-3\r\nabc\r\n0\r\n\r\n", "IncompleteBody"),
        (b"0x3\r\nabc\r\n0\r\n\r\n", "IncompleteBody"),
        (b"3;a=b\r\nabc\r\n0\r\n\r\n", "IncompleteBody"),
        (b"fffffffffffffffff\r\n", "IncompleteBody"),
        (b"3" * 10_000, "IncompleteBody"),
        (b"3\r\nabc\r\n0\r\n\r\nx", "IncompleteBody"),
        (b"3\r\nabc\r\n0\r\nx:" + b"y" * 9000, "MalformedTrailerError"),
        (b"3\r\nabc\r\n0\r\nnocolon\r\n\r\n", "MalformedTrailerError"),
    ],
)
def test_malformed_framing(wire: bytes, code: str) -> None:
    assert code_of(payload_of(UNSIGNED_TRAILER, 3), wire) == code


def test_pieces_are_views_and_nothing_is_verified_early() -> None:
    wire = encode(SIGNED, [b"abcdef"], {})
    decoder = AwsChunkedDecoder(payload_of(SIGNED, 6))
    cut = wire.index(b"abcdef") + 3
    (view,) = decoder.feed(wire[:cut])
    assert isinstance(view, memoryview)
    assert bytes(view) == b"abc"
    assert decoder.verified_through == 0
    decoder.feed(wire[cut:])
    assert decoder.verified_through == 6
