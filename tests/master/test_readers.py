from __future__ import annotations

from zerohop.rpc.master_api import ProxyHeartbeat
from zerohop_master.proxies import Readers


def beat(proxy_id: str, oldest_read_ms: int = 0) -> ProxyHeartbeat:
    return ProxyHeartbeat(
        proxy_id=proxy_id, host_id="h", address="", version="", oldest_read_ms=oldest_read_ms
    )


def test_nothing_is_known_of_readers_for_the_first_interval() -> None:
    readers = Readers(5.0, now_s=100.0)
    assert readers.oldest_read_ms(104.9, 1_000_000) == 0
    assert readers.oldest_read_ms(105.0, 1_000_000) == 1_000_000


def test_the_oldest_read_of_any_live_reader_counts() -> None:
    readers = Readers(5.0, now_s=0.0)
    readers.heard(beat("p1", oldest_read_ms=700), 10.0, 10_000)
    readers.heard(beat("p2"), 10.5, 10_500)
    assert readers.oldest_read_ms(11.0, 11_000) == 9_300
    readers.heard(beat("p1"), 11.0, 11_000)
    assert readers.oldest_read_ms(11.0, 11_000) == 10_500
    readers.expire(15.6)
    assert [proxy.proxy_id for proxy in readers.proxies()] == ["p1"]
    assert readers.oldest_read_ms(15.6, 15_600) == 11_000


def test_a_reader_that_says_good_bye_is_gone_at_once() -> None:
    readers = Readers(5.0, now_s=0.0)
    readers.heard(beat("p1", oldest_read_ms=9000), 10.0, 10_000)
    readers.left("p1")
    readers.left("p1")
    assert readers.proxies() == ()
    assert readers.oldest_read_ms(11.0, 11_000) == 11_000
