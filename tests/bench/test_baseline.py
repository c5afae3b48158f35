"""The guard tells a regression from noise, and a peer that is not installed from a line that failed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from tests.bench.made_runs import made_run

from zerohop.cli.bench import bench
from zerohop_bench.baseline import Baseline, Expected, compare, renewed
from zerohop_bench.results import Run


def worse(baseline: Baseline, run: Run) -> set[str]:
    return {change.name for change in compare(baseline, run) if change.is_worse}


def test_what_is_within_its_tolerance_is_no_regression() -> None:
    baseline = renewed(made_run(2000.0), None)
    assert worse(baseline, made_run(1500.0)) == set()
    assert worse(baseline, made_run(9000.0)) == set()
    assert worse(baseline, made_run(900.0)) == {"get-4k / nginx / req/s", "get-4k / SeaweedFS / req/s"}
    by_cpu = {"get-4k / nginx / CPU", "get-4k / SeaweedFS / CPU"}
    assert worse(baseline, made_run(cpu_us=125)) == set()
    assert worse(baseline, made_run(cpu_us=135)) == by_cpu


def test_a_figure_without_an_opponent_is_measured_by_its_bound() -> None:
    baseline = renewed(made_run(moved_bytes=0), None)
    assert worse(baseline, made_run(moved_bytes=50_000)) == set()
    assert worse(baseline, made_run(moved_bytes=500_000)) == {"moved / itself / B"}


def test_a_peer_that_is_not_there_is_passed_over_but_a_line_without_figures_is_worse() -> None:
    baseline = renewed(made_run(), None)
    without = made_run(missing={"nginx": "apt-get install nginx"})
    assert worse(baseline, without) == set()
    assert worse(baseline, msgspec.structs.replace(without, results=without.results[1:])) == {
        "get-4k / SeaweedFS / req/s",
        "get-4k / SeaweedFS / CPU",
    }


def test_rewriting_keeps_tolerances_that_were_set_by_hand() -> None:
    name = "get-4k / SeaweedFS / req/s"
    before = renewed(made_run(), None)
    ratios = {**before.ratios, name: Expected(2.0, 0.05)}
    after = renewed(made_run(4000.0), msgspec.structs.replace(before, ratios=ratios))
    assert after.ratios[name] == Expected(4.0, 0.05)


@pytest.mark.parametrize("rate, status, mark", [(2000.0, 0, "ok"), (200.0, 1, "WORSE")])
def test_the_command_compares_a_run_that_was_kept(
    tmp_path: Path, rate: float, status: int, mark: str
) -> None:
    kept, baseline = tmp_path / "run.json", tmp_path / "baseline.json"
    arguments = ["guard", f"--run={kept}", f"--baseline={baseline}"]
    kept.write_bytes(msgspec.json.encode(made_run(2000.0)))
    assert CliRunner().invoke(bench, [*arguments, "--update"]).exit_code == 0
    kept.write_bytes(msgspec.json.encode(made_run(rate)))
    done = CliRunner().invoke(bench, arguments)
    assert done.exit_code == status
    line = next(line for line in done.output.splitlines() if "get-4k / nginx / req/s" in line)
    assert line.split()[0] == mark


def test_the_committed_baseline_is_of_the_lines_that_there_are() -> None:
    from zerohop_bench.lines import LINES

    file = Path(__file__).resolve().parents[2] / "bench" / "baseline.json"
    baseline = msgspec.json.decode(file.read_bytes(), type=Baseline)
    assert {name.split(" / ")[0] for name in baseline.ratios} <= {line.name for line in LINES}
    assert baseline.plan == "quick"
