"""Answers of lookups that are kept: for how long, for whom, and how many."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from zerohop.client.known_objects import KnownObjects
from zerohop.model import ADMIN, ANONYMOUS, ObjectRecord
from zerohop.rpc.change_board import ChangeBoard
from zerohop.rpc.master_api import ObjectResult


@pytest.fixture
def board(tmp_path: Path) -> Iterator[ChangeBoard]:
    opened = ChangeBoard.open(tmp_path / "board", families=b"o")
    yield opened
    opened.close()


@pytest.fixture
def known(board: ChangeBoard) -> Iterator[KnownObjects]:
    opened = KnownObjects(64 << 10)
    opened.follow(str(board.path), board.token)
    yield opened
    opened.check_invariants()
    opened.close()


def answer(board: ChangeBoard, key: str, data: bytes = b"data", *, valid_until_ms: int = 0) -> ObjectResult:
    return ObjectResult(
        record=ObjectRecord(key=key, size_bytes=len(data), etag="e", modified_ms=1, inline=b"id"),
        row_version=1,
        bucket_owner="anonymous",
        data=data,
        stamps=board.stamps([b"o" + key.encode()]),
        valid_until_ms=valid_until_ms,
    )


def test_an_answer_is_for_its_caller_until_its_row_changes(board: ChangeBoard, known: KnownObjects) -> None:
    told = answer(board, "k")
    known.keep(ANONYMOUS, "b", "k", told, with_data=True)
    found = known.find(ANONYMOUS, "b", "k", with_data=True)
    assert found is not None
    assert found.result is told
    assert known.find(ADMIN, "b", "k", with_data=True) is None
    assert known.find(ANONYMOUS, "other", "k", with_data=True) is None
    board.changes([b"ok"])
    assert known.find(ANONYMOUS, "b", "k", with_data=True) is None
    assert len(known) == 0


def test_an_answer_without_data_is_none_for_who_wants_it(board: ChangeBoard, known: KnownObjects) -> None:
    known.keep(ANONYMOUS, "b", "k", answer(board, "k", b""), with_data=False)
    assert known.find(ANONYMOUS, "b", "k", with_data=False) is not None
    assert known.find(ANONYMOUS, "b", "k", with_data=True) is None


def test_time_ends_what_is_believed_for_a_time(board: ChangeBoard, known: KnownObjects) -> None:
    now_ms = int(time.time() * 1000)
    known.keep(ANONYMOUS, "b", "old", answer(board, "old", valid_until_ms=now_ms - 1), with_data=True)
    known.keep(ANONYMOUS, "b", "new", answer(board, "new", valid_until_ms=now_ms + 60_000), with_data=True)
    assert known.find(ANONYMOUS, "b", "old", with_data=True) is None
    assert known.find(ANONYMOUS, "b", "new", with_data=True) is not None


def test_what_was_used_outlives_what_was_not(board: ChangeBoard, known: KnownObjects) -> None:
    for number in range(200):
        known.keep(ANONYMOUS, "b", f"k{number}", answer(board, f"k{number}"), with_data=True)
        assert known.find(ANONYMOUS, "b", "k0", with_data=True) is not None
        known.check_invariants()
    assert 10 < len(known) < 40
    assert known.find(ANONYMOUS, "b", "k100", with_data=True) is None
    known.keep(ANONYMOUS, "b", "huge", answer(board, "huge", b"x" * (16 << 10)), with_data=True)
    assert known.find(ANONYMOUS, "b", "huge", with_data=True) is None, "one answer takes an eighth at most"


def test_nothing_is_kept_without_stamps_or_a_board(board: ChangeBoard, known: KnownObjects) -> None:
    unstamped = ObjectResult(
        record=ObjectRecord(key="k", size_bytes=0, etag="e", modified_ms=1), row_version=1, bucket_owner=""
    )
    known.keep(ANONYMOUS, "b", "k", unstamped, with_data=True)
    assert known.find(ANONYMOUS, "b", "k", with_data=True) is None
    known.keep(ANONYMOUS, "b", "k", answer(board, "k"), with_data=True)
    known.follow("", b"")
    assert not known.is_open
    assert known.find(ANONYMOUS, "b", "k", with_data=True) is None
    known.keep(ANONYMOUS, "b", "k", answer(board, "k"), with_data=True)
    assert len(known) == 0


def test_another_board_voids_everything(board: ChangeBoard, known: KnownObjects, tmp_path: Path) -> None:
    known.keep(ANONYMOUS, "b", "k", answer(board, "k"), with_data=True)
    other = ChangeBoard.open(tmp_path / "other", families=b"o")
    known.follow(str(other.path), other.token)
    assert known.is_open
    assert known.find(ANONYMOUS, "b", "k", with_data=True) is None
    other.close()
