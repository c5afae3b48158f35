"""Memory to receive into: used again, but never while somebody looks at it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zerohop.rpc.receive_buffers import ReceiveBuffers

LARGE = 256 << 10


def receive(buffers: ReceiveBuffers, data: bytes) -> bytes | memoryview:
    memory = buffers.next()
    memory[: len(data)] = data
    return buffers.received(len(data))


@given(
    st.lists(st.tuples(st.sampled_from([1, 100, 32 << 10, LARGE // 2, LARGE]), st.booleans()), max_size=30)
)
def test_what_was_received_stays_as_long_as_it_is_held(reads: list[tuple[int, bool]]) -> None:
    buffers = ReceiveBuffers()
    held: list[tuple[bytes | memoryview, bytes]] = []
    for number, (size_bytes, let_go) in enumerate(reads):
        data = bytes([number]) * min(size_bytes, len(buffers.next()))
        held.append((receive(buffers, data), data))
        if let_go:
            held.pop(0)
        assert all(view == expected for view, expected in held)


def test_memory_is_used_again_and_small_reads_hold_none() -> None:
    buffers = ReceiveBuffers()
    assert isinstance(receive(buffers, bytes(100)), bytes)
    receive(buffers, bytes(len(buffers.next())))  # filled: from now on the large ones
    first = receive(buffers, bytes(LARGE))
    assert isinstance(first, memoryview)
    assert first.readonly
    memory = first.obj
    second = receive(buffers, bytes(LARGE))
    assert isinstance(second, memoryview)
    assert second.obj is not memory
    del first
    assert buffers.next().obj is memory
