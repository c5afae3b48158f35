"""Origins that throttle, are slow, or die in the middle of a body: the right bytes in the end, or a clean failure."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.mounts.mounted import BLOCK_BYTES, Mounted, noise, status_of
from tests.mounts.remote import Remote


def test_throttled_for_a_while(mounted: Mounted, remote: Remote) -> None:
    body = mounted.place("file", noise(2 * BLOCK_BYTES))
    remote.do(remote.proxy.throttle, 2)
    assert mounted.read("file") == body
    remote.do(remote.proxy.throttle, 2)
    assert mounted.keys() == ["file"]
    remote.do(remote.proxy.throttle, 2)
    mounted.s3.put_object(Bucket=mounted.name, Key="new", Body=b"written")
    assert mounted.at_origin("new")["Body"] == b"written"
    remote.do(remote.proxy.throttle, 2)
    mounted.s3.delete_object(Bucket=mounted.name, Key="new")
    assert mounted.origin_keys() == ["file"]


def test_throttled_for_ever(mounted: Mounted, remote: Remote) -> None:
    body = mounted.place("file", noise(1000))
    remote.do(remote.proxy.throttle, 10_000)
    with pytest.raises(ClientError) as refused:
        mounted.read("file")
    assert status_of(refused)[0] == 503
    remote.heal()
    assert mounted.read("file") == body


@pytest.mark.parametrize("cut", [1, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 100])
def test_cut_in_the_middle(mounted: Mounted, remote: Remote, cut: int) -> None:
    body = mounted.place("file", noise(4 * BLOCK_BYTES))
    remote.do(remote.proxy.cut_after, cut)
    assert mounted.read("file") == body
    # Taken up again from the byte reached; what was on its way when the connection broke has to come once more.
    assert remote.fetched("file") <= len(body) + (1 << 20)
    assert mounted.read("file") == body


def test_cut_again_and_again(mounted: Mounted, remote: Remote) -> None:
    body = mounted.place("file", noise(4 * BLOCK_BYTES))
    remote.do(remote.proxy.cut_after, 300_000, 12)
    assert mounted.read("file") == body


def test_cut_while_a_range_from_the_middle_of_a_block_is_read(mounted: Mounted, remote: Remote) -> None:
    body = mounted.place("file", noise(2 * BLOCK_BYTES))
    remote.do(remote.proxy.cut_after, 1000, 3)
    start = BLOCK_BYTES // 2
    assert mounted.read("file", Range=f"bytes={start}-{start + 99_999}") == body[start : start + 100_000]
    assert mounted.read("file") == body


def test_cut_without_ever_a_byte(mounted: Mounted, remote: Remote) -> None:
    body = mounted.place("file", noise(2 * BLOCK_BYTES))
    mounted.s3.head_object(Bucket=mounted.name, Key="file")
    remote.do(remote.proxy.cut_after, 0, 10_000)
    with pytest.raises(ClientError) as refused:
        mounted.read("file")
    assert status_of(refused)[0] == 503
    remote.heal()
    assert mounted.read("file") == body


def test_responses_are_lost(mounted: Mounted, remote: Remote) -> None:
    body = mounted.place("file", noise(100_000))
    remote.do(remote.proxy.swallow, 2)
    assert mounted.read("file") == body
    remote.do(remote.proxy.swallow, 1)
    mounted.s3.put_object(Bucket=mounted.name, Key="new", Body=b"written")
    assert mounted.at_origin("new")["Body"] == mounted.read("new") == b"written"
    remote.do(remote.proxy.swallow, 1)
    mounted.s3.delete_object(Bucket=mounted.name, Key="new")
    assert mounted.origin_keys() == ["file"]


def test_multipart_upload_in_spite_of_faults(mounted: Mounted, remote: Remote) -> None:
    body = noise(40 << 20)
    remote.do(remote.proxy.only, "PUT")
    for fault in (remote.proxy.throttle, remote.proxy.swallow, remote.proxy.drop):
        remote.do(fault, 1)
    answer = mounted.s3.put_object(Bucket=mounted.name, Key="big", Body=body)
    assert answer["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert mounted.at_origin("big")["Body"] == body
    assert mounted.origin_uploads() == []
    assert mounted.read("big") == body


def test_slow_origin_holds_nobody_up_who_reads_what_is_cached(mounted: Mounted, remote: Remote) -> None:
    warm = mounted.place("warm", noise(2 * BLOCK_BYTES))
    cold = mounted.place("cold", noise(2 * BLOCK_BYTES))
    assert mounted.read("warm") == warm
    remote.do(remote.proxy.stall_after, 1000)
    with ThreadPoolExecutor(1) as pool:
        reading: Any = pool.submit(mounted.read, "cold")
        assert mounted.read("warm") == warm
        assert mounted.read("warm", Range="bytes=5-9") == warm[5:10]
        assert not reading.done()
        remote.do(remote.proxy.release)
        assert reading.result(60) == cold
