"""The change board: what stamps promise, through changes, restarts of the master, and files that are no boards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from zerohop.rpc.change_board import BoardReader, ChangeBoard


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metadata.board"


@pytest.fixture
def board(path: Path) -> Iterator[ChangeBoard]:
    opened = ChangeBoard.open(path, families=b"ab")
    yield opened
    opened.close()


@pytest.fixture
def reader(board: ChangeBoard) -> Iterator[BoardReader]:
    opened = BoardReader.open(str(board.path), board.token)
    assert opened is not None
    yield opened
    opened.close()


def test_stamps_stand_until_one_of_their_rows_changes(board: ChangeBoard, reader: BoardReader) -> None:
    stamps = board.stamps([b"a1", b"b1"])
    assert reader.stands(stamps)
    board.changes([b"a2", b"c1"])
    assert reader.stands(stamps)
    board.changes([b"b1"])
    assert not reader.stands(stamps)
    assert reader.stands(board.stamps([b"a1", b"b1"]))


def test_a_master_that_starts_voids_what_was_kept_under_the_one_before(
    path: Path, board: ChangeBoard, reader: BoardReader
) -> None:
    stamps = [board.stamps([b"a%d" % number]) for number in range(1000)]
    after = ChangeBoard.open(path, families=b"ab")
    try:
        assert after.token == board.token, "readers would go on looking at a file that nobody writes"
        assert not any(map(reader.stands, stamps))
        assert reader.stands(after.stamps([b"a1"]))
    finally:
        after.close()


def test_a_reader_takes_no_other_board(path: Path, board: ChangeBoard, tmp_path: Path) -> None:
    assert BoardReader.open(str(path), b"x" * len(board.token)) is None
    assert BoardReader.open(str(tmp_path / "absent"), board.token) is None
    short = tmp_path / "short"
    short.write_bytes(path.read_bytes()[:-1])
    assert BoardReader.open(str(short), board.token) is None
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"x" * path.stat().st_size)
    assert BoardReader.open(str(foreign), board.token) is None
    link = tmp_path / "link"
    link.symlink_to(path)
    assert BoardReader.open(str(link), board.token) is None


@pytest.mark.parametrize("content", [b"", b"something else", b"x" * (1 << 21)])
def test_a_file_that_is_no_board_is_replaced(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    board = ChangeBoard.open(path, families=b"a")
    try:
        reader = BoardReader.open(str(path), board.token)
        assert reader is not None
        assert reader.stands(board.stamps([b"a"]))
        reader.close()
        assert path.stat().st_mode & 0o777 == 0o600
        assert [file.name for file in path.parent.iterdir()] == [path.name]
    finally:
        board.close()
