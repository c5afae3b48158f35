"""What is typed and what is printed, without a cluster."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path, PurePosixPath

import pytest

from zerohop.cli.columns import Row, cached_percent, format_row
from zerohop.cli.exit_codes import EXIT_CODES, ExitCode, exit_code
from zerohop.cli.local_files import relative_file, walk
from zerohop.cli.paths import STANDARD_STREAM, ClusterPath, parse, parse_cluster
from zerohop.errors import InvalidRequest, KeyNotFound, all_error_classes


@pytest.mark.parametrize(
    "text, expected",
    [
        ("/", ClusterPath("")),
        ("/b", ClusterPath("b")),
        ("/b/", ClusterPath("b")),
        ("/b/k", ClusterPath("b", "k")),
        ("/b/a//c/", ClusterPath("b", "a//c/")),
        ("/b//k", ClusterPath("b", "/k")),
        ("./x", Path("x")),
        ("../x", Path("../x")),
        (".", Path()),
        ("file:/tmp/x", Path("/tmp/x")),
        ("file:x", Path("x")),
        ("file:///tmp/x", Path("/tmp/x")),
        ("-", STANDARD_STREAM),
    ],
)
def test_paths(text: str, expected: object) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["x", "b/k", "C:x", ""])
def test_what_could_be_either_says_what_to_type(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"\./.*file:"):
        parse(text)


@pytest.mark.parametrize("text", ["b/k", "//k", "./x"])
def test_no_cluster_path(text: str) -> None:
    with pytest.raises(InvalidRequest, match="/BUCKET"):
        parse_cluster(text)


@pytest.mark.parametrize("text", ["/b/" + "ä" * 513, "/b/\udc80"])
def test_keys_are_those_of_s3(text: str) -> None:
    with pytest.raises(InvalidRequest, match="UTF-8"):
        parse_cluster(text)


def test_folders_and_names() -> None:
    assert ClusterPath("b").folder_prefix == ""
    assert ClusterPath("b", "d").folder_prefix == ClusterPath("b", "d/").folder_prefix == "d/"
    assert ClusterPath("b", "d/").child("x") == ClusterPath("b", "d/x")
    assert [ClusterPath("b", key).name for key in ("", "x", "d/x", "d/x/")] == ["b", "x", "x", "x"]


def test_line_is_that_of_the_api_page() -> None:
    row = Row("/testbucket/key1", "alluxio", 27040, 1560893165694, cached_bytes=27040)
    assert format_row(row, zone=UTC).split() == [
        *("-rw-r--r--", "alluxio", "alluxio", "27040", "PERSISTED"),
        *("06-18-2019", "21:26:05:694", "100%", "/testbucket/key1"),
    ]
    assert "26.4KiB" in format_row(row, human=True)
    assert "NOT_PERSISTED" in format_row(Row("/b/k", "o", 1, 1, persisted=False))
    assert format_row(Row("/b/d/", "o", is_folder=True)).split() == [
        "drwxr-xr-x",
        "o",
        "o",
        "0",
        "DIR",
        "/b/d/",
    ]


@pytest.mark.parametrize(
    "size, cached, percent", [(0, 0, 100), (10, 0, 0), (1000, 999, 99), (10, 10, 100), (10, 20, 100)]
)
def test_a_hundred_percent_means_all_of_it(size: int, cached: int, percent: int) -> None:
    assert cached_percent(size, cached) == percent


def test_every_error_has_an_exit_status() -> None:
    assert set(EXIT_CODES) == set(all_error_classes())
    assert exit_code(KeyNotFound()) == 3
    assert ExitCode.OK not in EXIT_CODES.values()
    assert all(code.meaning for code in ExitCode)


def test_documentation_has_every_exit_status() -> None:
    page = Path(__file__).parents[2] / "docs" / "internals" / "client-and-cli.md"
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert rows == [f"| {code.value} | {code.meaning} |" for code in ExitCode]


@pytest.mark.parametrize("key", ["../x", "a/../x", "/etc/passwd", "a//b", "", ".", "a/.", "x\0y"])
def test_no_key_leads_out_of_the_folder(key: str) -> None:
    with pytest.raises(InvalidRequest):
        relative_file(key)


def test_ordinary_keys_are_files() -> None:
    assert relative_file("a/b c/ü..txt") == PurePosixPath("a/b c/ü..txt")


def test_walk_gives_files_and_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "x").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [relative for _, relative in walk(tmp_path)] == ["d/x", "d/e/", "empty/"]
