"""What a power cut would show and a kill cannot: every byte is synced before the 200.

The cluster's processes run under strace; each PUT is then followed through the system calls of the worker and of the
master up to the moment at which the proxy sends its answer.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.cluster import Cluster

WRITES = frozenset({"write", "writev", "pwrite64", "pwritev", "pwritev2"})
SYNCS = frozenset({"fsync", "fdatasync"})
PLACES = frozenset({"rename", "renameat", "renameat2", "link", "linkat"})
CALLS = ",".join(sorted(WRITES | SYNCS | PLACES | {"sendto", "sendmsg"}))


@dataclass(frozen=True)
class Call:
    """One finished system call: `path` is that of its first descriptor argument, as strace -y prints it."""

    time: float
    name: str
    text: str
    path: str


def _parse(trace: Path) -> list[Call]:
    """Calls by the time at which they *returned*; interrupted ones are joined with their resumption."""
    calls: list[Call] = []
    pending: dict[str, str] = {}
    line_form = re.compile(r"^(\d+)\s+(\d+\.\d+) (.*)$")
    for line in trace.read_text(errors="replace").splitlines():
        found = line_form.match(line)
        if not found:
            continue
        thread, moment, rest = found.groups()
        if rest.endswith("<unfinished ...>"):
            pending[thread] = rest.removesuffix("<unfinished ...>")
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", rest)
        if resumed:
            rest = pending.pop(thread, "") + resumed.group(1)
        name = rest.partition("(")[0]
        path = re.search(r"<([^>]*)>", rest)
        calls.append(Call(float(moment), name, rest, path.group(1) if path else ""))
    return calls


@pytest.fixture
def traced(cluster_factory, tmp_path: Path):  # type: ignore[no-untyped-def]
    cluster: Cluster = cluster_factory(proxies=1)
    trace = tmp_path / "trace"
    pids = [str(cluster.pid(name)) for name in ("master", "worker", "proxy-0")]
    tracer = subprocess.Popen(
        [
            "strace",
            "-f",
            "-ttt",
            "-y",
            "-s",
            "64",
            "-e",
            f"trace={CALLS}",
            "-o",
            str(trace),
            *(f"-p{pid}" for pid in pids),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr is not None
    attached = 0
    while attached < len(
        pids
    ):  # strace says so once for each process; it ends, and so does the loop, if it cannot
        line = tracer.stderr.readline()
        assert line, "strace ended before it was attached"
        attached += "attached" in line
    try:
        yield cluster, trace, tracer
    finally:
        if tracer.poll() is None:
            tracer.terminate()
        tracer.wait(10)
        tracer.stderr.close()


def _answer_time(calls: list[Call]) -> float:
    answers = [call.time for call in calls if "HTTP/1.1 200" in call.text]
    assert answers, "the trace holds no answer"
    return answers[-1]


def _put(cluster: Cluster, size: int) -> None:
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT", "--data-binary", "@-"]
    kind = ["-H", "Content-Type: application/octet-stream"]
    done = subprocess.run(
        [*command, *kind, f"{cluster.endpoint}/traced/object"],
        input=bytes(size),
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"200"


def _calls_of_one_put(traced: tuple[Cluster, Path, subprocess.Popen[str]], size: int) -> list[Call]:
    cluster, trace, tracer = traced
    subprocess.run(
        ["curl", "-sS", "-X", "PUT", f"{cluster.endpoint}/traced"], check=True, capture_output=True
    )
    before = len(_parse(trace))
    _put(cluster, size)
    tracer.terminate()
    tracer.wait(10)
    return _parse(trace)[before:]


def _positions(calls: list[Call], names: frozenset[str], path: str) -> list[int]:
    """Where in `calls` one of `names` was called on a descriptor, or with a name, that matches `path`."""
    form = re.compile(path)
    return [i for i, call in enumerate(calls) if call.name in names and form.search(call.path or call.text)]


def test_a_large_put_is_synced_before_its_answer(traced: tuple[Cluster, Path, subprocess.Popen[str]]) -> None:
    calls = _calls_of_one_put(traced, 9 << 20)
    answered = _answer_time(calls)
    early = [call for call in calls if call.time <= answered]
    placed = _positions(early, PLACES, "/store/contents/")
    assert placed, "no content was put into place before the answer"
    written = _positions(early, WRITES, "/store/staging/")
    synced = _positions(early, SYNCS, "/store/staging/")
    assert written
    assert written[-1] < synced[-1] < placed[-1], "the bytes are written, synced, and then put into place"
    folders = _positions(early, SYNCS, r"/store/contents/[^/]+/[^/]+$")
    parents = _positions(early, SYNCS, r"/store/contents(/[^/]+)?$")
    assert folders
    assert folders[-1] > placed[-1], "the folder's entry is synced after it was made"
    assert parents, "the entries of new folders are synced"
    _check_metadata(early, after=max(folders[-1], parents[-1]))


def test_a_small_put_is_synced_before_its_answer(traced: tuple[Cluster, Path, subprocess.Popen[str]]) -> None:
    calls = _calls_of_one_put(traced, 100)
    answered = _answer_time(calls)
    _check_metadata([call for call in calls if call.time <= answered], after=-1)


def _check_metadata(early: list[Call], after: int) -> None:
    """The metadata log was written and then synced, after call number `after` and before the answer."""
    writes = _positions(early, WRITES, "-wal$")
    syncs = _positions(early, SYNCS, "-wal$")
    assert writes
    assert writes[-1] > after, "the metadata commit comes after the content is durable"
    assert syncs
    assert syncs[-1] > writes[-1], "the metadata log is synced before the answer"
