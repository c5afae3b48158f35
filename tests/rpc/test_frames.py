"""The frame codec: any split gives the same frames, garbage is refused, nothing is buffered without bound."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerohop.errors import ProtocolViolation
from zerohop.rpc.frames import MAX_DATA_BYTES, FrameDecoder, FrameKind, frame

_frames = st.lists(
    st.tuples(st.sampled_from(list(FrameKind)), st.integers(0, 2**32 - 1), st.binary(max_size=300)),
    max_size=12,
)


def _joined(pieces: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Pieces of DATA of one call that follow each other, joined: how they were cut has no meaning."""
    found: list[tuple[int, int, bytes]] = []
    for kind, call_id, payload in pieces:
        if kind == FrameKind.DATA and found and found[-1][:2] == (kind, call_id):
            found[-1] = (kind, call_id, found[-1][2] + payload)
        elif kind != FrameKind.DATA or payload:
            found.append((kind, call_id, payload))
    return found


@given(_frames, st.data())
def test_any_split_gives_the_same_frames(frames: list[tuple[int, int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(frame(*each) for each in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    decoder = FrameDecoder()
    found: list[tuple[int, int, bytes]] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        decoder.feed(stream[start:end])
        found.extend((kind, call_id, bytes(payload)) for kind, call_id, payload in decoder.frames())
    assert _joined(found) == _joined([(int(kind), call_id, payload) for kind, call_id, payload in frames])
    assert decoder.buffered_bytes == 0


@given(_frames, st.integers(1, 20))
def test_leaving_the_iteration_early_loses_nothing(frames: list[tuple[int, int, bytes]], step: int) -> None:
    stream = b"".join(frame(*each) for each in frames)
    decoder = FrameDecoder()
    found: list[tuple[int, int, bytes]] = []
    for start in range(0, len(stream), step):
        decoder.feed(stream[start : start + step])
        for kind, call_id, payload in decoder.frames():
            found.append((kind, call_id, bytes(payload)))
            break
    found.extend((kind, call_id, bytes(payload)) for kind, call_id, payload in decoder.frames())
    assert _joined(found) == _joined([(int(kind), call_id, payload) for kind, call_id, payload in frames])


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_garbage_is_refused_or_waits_within_the_bound(pieces: list[bytes]) -> None:
    decoder = FrameDecoder(max_payload_bytes=64)
    try:
        for piece in pieces:
            decoder.feed(piece)
            for _ in decoder.frames():
                pass
            assert decoder.buffered_bytes <= 64 + 9
    except ProtocolViolation:
        pass


@pytest.mark.parametrize(
    "header",
    [
        struct.pack(">IBI", 1 << 25, FrameKind.REQUEST, 1),
        struct.pack(">IBI", 4, FrameKind.REQUEST, 1),
        struct.pack(">IBI", 5, 0, 1),
        struct.pack(">IBI", 5, 99, 1),
        struct.pack(">IBI", 4, FrameKind.DATA, 1),
        struct.pack(">IBI", MAX_DATA_BYTES + 6, FrameKind.DATA, 1),
    ],
)
def test_an_impossible_header_is_refused_before_its_payload_comes(header: bytes) -> None:
    decoder = FrameDecoder()
    decoder.feed(header)
    with pytest.raises(ProtocolViolation):
        list(decoder.frames())


def test_bulk_bytes_are_views_of_what_was_received() -> None:
    decoder = FrameDecoder()
    received = frame(FrameKind.DATA, 7, bytes(100_000))
    decoder.feed(received)
    (kind, call_id, payload) = next(decoder.frames())
    assert (kind, call_id) == (FrameKind.DATA, 7)
    assert isinstance(payload, memoryview)
    assert payload.obj is received
