"""Sharing what a proxy has among its clients, and cutting those who hold it for nothing."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.inprocess import in_process_cluster
from tests.proxy.raw_http import RawConnection

from zerohop_proxy.fair_share import FairShare
from zerohop_proxy.progress import ClientStalled, Progress


def test_one_alone_leaves_room_for_newcomers() -> None:
    shares = FairShare(100, 0.75)
    assert sum(shares.take("greedy") for _ in range(200)) == 75
    assert sum(shares.take("other") for _ in range(200)) == 25


def test_holdings_tend_to_equal_shares() -> None:
    shares = FairShare(100, 0.75)
    held = Counter({"greedy": sum(shares.take("greedy") for _ in range(200))})
    for _ in range(100):  # one of the greedy client's requests ends, and everybody asks for more
        if held["greedy"]:
            shares.give("greedy")
            held["greedy"] -= 1
        for client in ("modest", "greedy"):
            held[client] += shares.take(client)
    assert abs(held["greedy"] - held["modest"]) <= 2
    assert held.total() == 100


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_small_limits_serve_somebody(limit: int) -> None:
    shares = FairShare(limit, 0.75)
    assert shares.take("a")
    assert shares.take("b") == (limit > 1)


class _Shares(RuleBasedStateMachine):
    """Against a plain count; a client that holds less than an equal share is never refused while there is room."""

    def __init__(self) -> None:
        super().__init__()
        self.shares = FairShare(40, 0.75)
        self.held: Counter[str] = Counter()

    @rule(client=st.sampled_from("abcde"), amount=st.integers(1, 9))
    def take(self, client: str, amount: int) -> None:
        share = 40 // max(2, len(+self.held) + (not self.held[client]))
        got = self.shares.take(client, amount)
        fits = self.held.total() + amount <= 40
        assert fits or not got
        if fits and self.held[client] + amount <= share:
            assert got
        self.held[client] += amount * got

    @rule(client=st.sampled_from("abcde"))
    def give(self, client: str) -> None:
        if self.held[client]:
            self.shares.give(client, self.held.pop(client))

    @invariant()
    def adds_up(self) -> None:
        self.shares.check_invariants()
        assert self.shares.total == self.held.total()


TestShares = _Shares.TestCase


def test_a_client_is_slow_only_while_it_is_waited_for() -> None:
    progress = Progress(60.0, 1000)
    progress.waited(59.0)
    progress.moved(1000)
    assert progress.patience_s == 60.0
    progress.waited(59.0)
    progress.moved(999)
    assert progress.patience_s == 1.0
    with pytest.raises(ClientStalled):
        progress.waited(1.0)


async def test_a_trickle_is_no_progress() -> None:
    """Each byte comes well within the time-out; the body as a whole does not."""
    async with in_process_cluster(
        proxy={"min_progress_timeout_s": 0.3, "min_progress_bytes": 1000}
    ) as cluster:
        async with RawConnection(cluster.port) as raw:
            await raw.request("PUT /bucket HTTP/1.1", "Content-Length: 0")
            await raw.send("PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
            cut = asyncio.create_task(raw.is_closed())
            async with asyncio.timeout(20):
                while not cut.done():
                    raw.writer.write(b"x")
                    await asyncio.wait((cut,), timeout=0.02)
            assert cut.result()
        async with RawConnection(cluster.port) as other:
            assert (await other.request("HEAD /bucket/key HTTP/1.1")).status == 404


async def test_a_greedy_address_does_not_starve_a_user() -> None:
    """Unsigned requests hold all they can; another client still gets in."""
    put = "PUT /bucket/{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n"
    async with in_process_cluster(proxy={"max_inflight_requests": 8}) as cluster:
        async with RawConnection(cluster.port) as raw:
            await raw.request("PUT /bucket HTTP/1.1", "Content-Length: 0")
        held = [RawConnection(cluster.port) for _ in range(6)]
        for number, connection in enumerate(held):
            await connection.__aenter__()
            await connection.send(put.format(number) + "x" * 10_000)
        async with RawConnection(cluster.port) as same, asyncio.timeout(10):
            while (await same.request("GET /bucket HTTP/1.1")).status != 503:
                await asyncio.sleep(0)
        async with RawConnection(cluster.port, source="127.0.0.2") as other:
            assert (await other.request("GET /bucket HTTP/1.1")).status == 200
        for connection in held:
            await connection.send("x" * 10_000)
            assert (await connection.response("PUT")).status == 200
            await connection.__aexit__(None, None, None)


async def test_bodies_beyond_the_buffers_are_told_to_slow_down() -> None:
    """Before any of the body is asked for."""
    put = "PUT /bucket/{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\nExpect: 100-continue\r\n\r\n"
    async with in_process_cluster(proxy={"max_buffered_bytes": 8 << 20}) as cluster:
        async with RawConnection(cluster.port) as raw:
            await raw.request("PUT /bucket HTTP/1.1", "Content-Length: 0")
        connections = [RawConnection(cluster.port) for _ in range(5)]
        answers = []
        for number, connection in enumerate(connections):
            await connection.__aenter__()
            await connection.send(put.format(number))
            answers.append((await connection.response("PUT")).status)
        assert answers == [100, 100, 100, 100, 503]
        for connection in connections:
            await connection.__aexit__(None, None, None)


@pytest.mark.parametrize(
    "fields, code",
    [
        ("Transfer-Encoding: gzip, chunked", "NotImplemented"),
        ("Transfer-Encoding: identity, chunked", "NotImplemented"),
        ("Content-Length: 18446744073709551615", "EntityTooLarge"),
    ],
)
async def test_a_body_whose_end_is_in_doubt_ends_the_connection(fields: str, code: str) -> None:
    async with in_process_cluster() as cluster, RawConnection(cluster.port) as raw:
        await raw.send(f"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n0\r\n\r\n")
        answer = await raw.response("PUT")
        assert (answer.code, answer.headers["connection"]) == (code, "close")
        assert await raw.is_closed()


async def test_a_head_has_a_size() -> None:
    async with in_process_cluster() as cluster, RawConnection(cluster.port) as raw:
        await raw.send("GET / HTTP/1.1\r\nHost: localhost\r\n")
        for number in range(20):
            await raw.send(f"X-{number}: {'v' * 8000}\r\n")
        answer = await raw.response()
        assert (answer.status, answer.code) == (400, "RequestHeaderSectionTooLarge")


async def test_a_broken_chunk_is_answered_at_once() -> None:
    """Not when the time-out for a stalled body is over."""
    head = "PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    options = {"min_progress_timeout_s": 3600.0}
    async with in_process_cluster(proxy=options) as cluster, RawConnection(cluster.port) as raw:
        await raw.request("PUT /bucket HTTP/1.1", "Content-Length: 0")
        await raw.send(head)
        assert (await raw.response("PUT")).status == 100  # the body is being read now
        await raw.send("xyz\r\n")
        assert (await raw.response("PUT")).code == "IncompleteBody"
