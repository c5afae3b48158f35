"""Coverage-guided fuzzing of one parser of what clients and peers send: a program, since libFuzzer ends its process.

python -m tests.hostile.parser_fuzzer aws_chunked -max_total_time=60
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["zerohop_proxy", "zerohop.rpc"]):
    from zerohop.errors import ZerohopError
    from zerohop.rpc.frames import FrameDecoder
    from zerohop_proxy.authorization import Anonymous, parse_authorization, verify
    from zerohop_proxy.aws_chunked import AwsChunkedDecoder
    from zerohop_proxy.conditions import delete_condition, evaluate_read, write_condition
    from zerohop_proxy.payload import PayloadMode, VerifiedPayload
    from zerohop_proxy.ranges import parse_copy_range, resolve_range
    from zerohop_proxy.raw_request import RawRequest
    from zerohop_proxy.routing import route
    from zerohop_proxy.s3_errors import S3Error
    from zerohop_proxy.xml_in import parse_complete_multipart_upload, parse_create_bucket, parse_delete

_EXPECTED = (S3Error, ZerohopError)
_NOW_S = 1_770_000_000.0
_PREFIX = "/api/v1/s3"


def _aws_chunked(data: bytes) -> None:
    """Whatever the cuts, never more than was declared, and the same bytes."""
    declared, cut, wire = data[0] if data else 0, data[1] if len(data) > 1 else 0, data[2:]
    whole, pieces = _decoded(declared, wire), _decoded(declared, wire[:cut], wire[cut:])
    assert whole == pieces
    assert whole is None or len(whole) == declared


def _decoded(declared: int, *wire: bytes) -> bytes | None:
    payload = VerifiedPayload(
        None, PayloadMode.STREAMING_UNSIGNED_TRAILER, decoded_length_bytes=declared, trailer_names=("x-a",)
    )
    decoder = AwsChunkedDecoder(payload)
    received = b""
    try:
        for part in wire:
            received += b"".join(decoder.feed(part))
            assert len(received) <= declared
        decoder.finish()
    except S3Error:
        return None
    return received


def _request(data: bytes) -> RawRequest:
    """First line: method and target; then fields."""
    first, *lines = data.split(b"\n")
    method_raw, _, target_raw = first.partition(b" ")
    method = method_raw.decode("ascii", "ignore")  # the HTTP parser lets only its own methods through
    target = target_raw.decode("utf-8", "surrogateescape")
    fields = [(name, value) for name, _, value in (line.partition(b":") for line in lines)]
    return RawRequest.from_wire(method, target or "/", fields)


def _routing(data: bytes) -> None:
    found = route(_request(data), prefix=_PREFIX)
    assert "/" not in found.bucket


def _authorization(data: bytes) -> None:
    """Nobody without the secret is let in."""
    claim = parse_authorization(_request(data), prefix=_PREFIX)
    if not isinstance(claim, Anonymous):
        verify(claim, "the secret", _NOW_S)
        raise AssertionError("a signature was guessed")


def _xml_in(data: bytes) -> None:
    for parse in (parse_delete, parse_complete_multipart_upload, parse_create_bucket):
        try:
            parse(data)
        except S3Error:
            continue


def _ranges(data: bytes) -> None:
    header, size = data[1:].decode("latin-1"), data[0] if data else 0
    try:
        found = resolve_range(header, size)
        assert found is None or 0 <= found.start < found.start + found.length_bytes <= size
    except S3Error:
        pass
    parse_copy_range(header, size)


def _conditions(data: bytes) -> None:
    first, second, third, fourth, *_ = [*data.decode("latin-1").split("\n"), "", "", "", ""]
    headers = {
        "if-match": first,
        "if-none-match": second,
        "if-modified-since": third,
        "if-unmodified-since": fourth,
    }
    given = {name: value for name, value in headers.items() if value}
    evaluate_read(given, '"etag"', 1_000_000)
    delete_condition(given)
    write_condition(given)


def _frames(data: bytes) -> None:
    decoder = FrameDecoder(1 << 16)
    cut = data[0] if data else 0
    for part in (data[1 : 1 + cut], data[1 + cut :]):
        decoder.feed(part)
        for _ in decoder.frames():
            assert decoder.buffered_bytes <= len(data)


PARSERS: dict[str, Callable[[bytes], None]] = {
    "aws_chunked": _aws_chunked,
    "routing": _routing,
    "authorization": _authorization,
    "xml_in": _xml_in,
    "ranges": _ranges,
    "conditions": _conditions,
    "frames": _frames,
}


def _guarded(parse: Callable[[bytes], None]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        try:
            parse(data)
        except _EXPECTED:
            return

    return run


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], _guarded(PARSERS[sys.argv[1]]))
    atheris.Fuzz()
