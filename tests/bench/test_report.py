"""What people see of a run: the table, the block of the page, the pictures."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from tests.bench.made_runs import made_run

from zerohop.errors import InvalidRequest
from zerohop_bench.plots import plot_run
from zerohop_bench.report import BEGIN, END, as_markdown, as_table, rewrite, shown


def test_the_table_shows_each_peer_with_ratios_and_whether_the_target_was_met() -> None:
    output = io.StringIO()
    Console(file=output, width=200).print(as_table(made_run()))
    text = output.getvalue()
    row = next(line for line in text.splitlines() if "SeaweedFS" in line)
    cells = [cell.strip() for cell in row.strip("│ ").split("│")]
    assert cells[1:] == ["1,050/s", "1,000 - 1,100/s", "205", "2.00", "0.51", "at least 2 x", "met"]
    assert "failed: no answer" in text


def test_the_page_names_the_machine_the_versions_and_who_was_left_out() -> None:
    text = as_markdown(made_run(1000.0, missing={"MinIO": "install Go"}), "plots")
    for part in (
        "2026-01-02",
        "Some CPU",
        "24GiB",
        "zerohop 1",
        "Linux 6.1",
        "MinIO was left out (install Go)",
    ):
        assert part in text
    assert "| 1KiB | 5,000/s | 50 | 5,000/s | 50 |" in text
    assert "(plots/size.png)" in text
    assert text.count("**missed**") == 2
    assert "MinIO fell out: it is slow" in text


def test_only_the_block_between_the_markers_is_rewritten(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    rewrite(page, "new")
    rewrite(page, "newer")
    assert page.read_text() == f"before\n{BEGIN}\nnewer\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}\n", f"{BEGIN}{BEGIN}{END}"])
def test_a_page_without_its_markers_is_left_alone(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(InvalidRequest, match="once each"):
        rewrite(page, "new")
    assert page.read_text() == text


def test_pictures_are_small_and_one_for_each_curve(tmp_path: Path) -> None:
    made = plot_run(made_run(), tmp_path)
    assert [path.name for path in made] == ["targets.png", "size.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size < 100_000 for path in made)


def test_values_are_shown_in_their_units() -> None:
    units = {
        "B/s": "1 MB/s",
        "B": "1.0 MiB",
        "s": "1,048,576,000.0 ms",
        "us": "1,048,576 us",
        "req/s": "1,048,576/s",
    }
    assert {unit: shown(1 << 20, unit) for unit in units} == units
