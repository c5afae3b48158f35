"""One whole run: every line of the table, and the curves, on servers that are started and ended here."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from zerohop.errors import ZerohopError
from zerohop_bench.growth import GROWTH, Growth
from zerohop_bench.http_load import LoadFailed
from zerohop_bench.lines import LINES, Line
from zerohop_bench.results import Curve, Machine, Result, Run
from zerohop_bench.stage import Plan, Stage, failure

__all__ = ["machine_after", "machine_now", "measure"]

_FAILURES = (LoadFailed, ZerohopError, OSError, subprocess.SubprocessError, ValueError, ZeroDivisionError)


def measure(
    plan: Plan,
    folder: Path | None,
    say: Callable[[str], None],
    *,
    lines: Sequence[Line] = LINES,
    growth: Sequence[Growth] = GROWTH,
) -> Run:
    """Measures `lines` and curves of `growth`; a line that fails says so in its result, and the others go on.

    The servers keep their data in a temporary folder below `folder`, and are gone at the end. Raises NothingToMeasure
    when our own does not start.
    """
    started_s = time.monotonic()
    machine = machine_now()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zerohop-bench-", dir=folder)))
        stage = Stage(plan, place, stack, say)
        results = tuple(_result(stage, line) for line in lines)
        curves = tuple(_curve(stage, one) for one in growth) if plan.curves else ()
        return Run(
            plan.name,
            machine_after(machine),
            time.monotonic() - started_s,
            stage.versions,
            stage.missing,
            results,
            curves,
        )


def _result(stage: Stage, line: Line) -> Result:
    title = line.title_of(stage.plan)
    stage.say(title)
    stage.remarks.clear()
    try:
        figures = line.measure(stage)
    except _FAILURES as error:
        return Result(line.name, title, line.unit, targets=line.targets, failed=failure(error))
    return Result(line.name, title, line.unit, figures, line.targets, remarks=tuple(stage.remarks))


def _curve(stage: Stage, growth: Growth) -> Curve:
    stage.say(growth.title)
    try:
        series = growth.measure(stage)
    except _FAILURES as error:
        return Curve(growth.name, growth.title, growth.x_label, failed=failure(error))
    return Curve(growth.name, growth.title, growth.x_label, series)


def machine_now() -> Machine:
    """The machine before a run."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return Machine(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        cpus=len(os.sched_getaffinity(0)),
        cpu_model=models[0] if models else platform.machine(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=platform.release().partition("-")[0],
        load_before=os.getloadavg()[0],
    )


def machine_after(machine: Machine) -> Machine:
    """The same with its load now."""
    return msgspec.structs.replace(machine, load_after=os.getloadavg()[0])
