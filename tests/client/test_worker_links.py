"""What a client tells of the workers that come and go."""

from __future__ import annotations

import logging

import pytest

from zerohop.client.worker_links import WorkerLinks
from zerohop.model import WorkerInfo


def worker(worker_id: str, session: bytes) -> WorkerInfo:
    return WorkerInfo(
        worker_id=worker_id,
        session=session,
        host_id="",
        address="tcp://127.0.0.1:1",
        unix_address="",
        descriptor_path="",
    )


def test_a_restart_between_two_views_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    links = WorkerLinks(name="test", cluster_secret=None, ssl_context=None)
    for view in (
        [worker("a", b"1" * 8), worker("b", b"2" * 8)],
        [worker("a", b"1" * 8), worker("b", b"3" * 8)],
        [worker("b", b"3" * 8)],
        [worker("b", b"3" * 8)],
    ):
        links.update(view)
    assert [record.getMessage() for record in caplog.records] == [
        "worker a is live",
        "worker b is live",
        "worker b is live again, in a new session",
        "worker a is no longer live",
    ]
