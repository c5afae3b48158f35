"""Where should a small content live? Measures three ways to make it durable before the PUT is acknowledged.

    python -m zerohop_bench.small_contents

- `file`: a file each (write, fsync, rename, fsync of the folder), then the metadata commit;
- `pack`: appended to one pack file with a shared fsync, then the metadata commit;
- `inline`: one more row of the metadata commit, in a key range of its own under ascending ids.

The metadata commit is the same for all: an object row, a content row, a reference, on condition that the object is
absent. All run on the disk of the current folder, taking turns, so that a busy disk is unfair to none.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue

from zerohop_master.kv.interface import Commit, RowIs
from zerohop_master.kv.sqlite import SqliteStore

__all__ = ["Measurement", "main", "measure"]

_WRITERS = 32
_FOLDERS = 64
_PAGE_ROWS = 1000
_OBJECT_ROW = os.urandom(300)
_CONTENT_ROW = os.urandom(60)


@dataclass(slots=True)
class Measurement:
    """One run of one way. Latencies are of whole puts, in seconds, sorted."""

    way: str
    size_bytes: int
    puts_per_s: float
    latencies_s: list[float] = field(repr=False)
    database_bytes_per_object: float
    page_s: float

    def latency_ms(self, quantile: float) -> float:
        """The latency that this share of the puts stayed within, in milliseconds."""
        return self.latencies_s[min(int(quantile * len(self.latencies_s)), len(self.latencies_s) - 1)] * 1e3


class _FileEach:
    """The bytes of each content in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._threads = ThreadPoolExecutor(_WRITERS)
        self._folders = [folder / f"{number:02x}" for number in range(_FOLDERS)]
        for one in self._folders:
            one.mkdir()

    async def rows(self, content_id: bytes, body: bytes) -> list[tuple[bytes, bytes]]:
        await asyncio.get_running_loop().run_in_executor(self._threads, self._write, content_id, body)
        return []

    def _write(self, content_id: bytes, body: bytes) -> None:
        folder = self._folders[content_id[-1] % _FOLDERS]
        final = folder / content_id.hex()
        part = final.with_suffix(".part")
        with part.open("xb", buffering=0) as file:
            file.write(body)
            os.fsync(file.fileno())
        part.rename(final)
        fd = os.open(folder, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def close(self) -> None:
        self._threads.shutdown()


class _Pack:
    """The bytes of all contents in one file; whoever waits shares the next fsync, as the metadata commits do."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / "pack", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self._queue: SimpleQueue[tuple[bytes, asyncio.Future[None]] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(1)
        self._threads.submit(self._run)

    async def rows(self, content_id: bytes, body: bytes) -> list[tuple[bytes, bytes]]:
        written: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((content_id + body, written))
        await written
        return []

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group = [first]
            try:
                while (more := self._queue.get_nowait()) is not None:
                    group.append(more)
            except Empty:
                pass  # nobody else waits now
            os.writev(self._fd, [entry for entry, _ in group])
            os.fdatasync(self._fd)
            self._loop.call_soon_threadsafe(self._answer, group)

    @staticmethod
    def _answer(group: list[tuple[bytes, asyncio.Future[None]]]) -> None:
        for _, written in group:
            written.set_result(None)

    def close(self) -> None:
        self._queue.put(None)
        self._threads.shutdown()
        os.close(self._fd)


class _Inline:
    """The bytes of each content in the commit that announces it."""

    def __init__(self, folder: Path) -> None:
        del folder  # everything is in the store

    async def rows(self, content_id: bytes, body: bytes) -> list[tuple[bytes, bytes]]:
        return [(b"y" + content_id, body)]

    def close(self) -> None:
        """Nothing is open."""


_WAYS: dict[str, Callable[[Path], _FileEach | _Pack | _Inline]] = {
    "file": _FileEach,
    "pack": _Pack,
    "inline": _Inline,
}


async def measure(way: str, size_bytes: int, folder: Path, seconds: float) -> Measurement:
    """Puts contents of `size_bytes` by 32 concurrent writers for `seconds`, then lists pages of them."""
    store = await SqliteStore.open(folder / "kv")
    contents = _WAYS[way](folder)
    body = os.urandom(size_bytes)
    latencies_s: list[float] = []

    async def put(number: int) -> None:
        content_id = number.to_bytes(16, "big")
        key = b"ob000bid0photos/%016x" % (number * 0x9E3779B97F4A7C15 % 2**64)  # no order in the keys
        rows = await contents.rows(content_id, body)
        metadata = [(key, _OBJECT_ROW), (b"d" + content_id, _CONTENT_ROW), (b"k" + content_id + key, b"")]
        await store.commit(Commit([RowIs(key, 0)], [*metadata, *rows]))

    async def write(first: int, until: float) -> None:
        number = first
        while (start := time.perf_counter()) < until:
            await put(number)
            latencies_s.append(time.perf_counter() - start)
            number += _WRITERS

    start = time.perf_counter()
    await asyncio.gather(*(write(first, start + seconds) for first in range(_WRITERS)))
    puts_per_s = len(latencies_s) / (time.perf_counter() - start)
    contents.close()
    page_s = await _page_time(store)
    await store.close()
    database_bytes = (folder / "kv").stat().st_size / len(latencies_s)
    return Measurement(way, size_bytes, puts_per_s, sorted(latencies_s), database_bytes, page_s)


async def _page_time(store: SqliteStore) -> float:
    """Seconds that a listing page of up to 1,000 objects takes, at the median."""

    async def timed(page: Callable[[], Awaitable[object]]) -> float:
        start = time.perf_counter()
        await page()
        return time.perf_counter() - start

    def page() -> Awaitable[object]:
        return store.skip_scan(b"ob000bid0photos/", b"", strip=9, delimiter=b"/", limit=_PAGE_ROWS)

    return statistics.median([await timed(page) for _ in range(15)])


def _print_table(runs: list[Measurement]) -> None:
    """One line for each size and way: medians over the rounds; `max` is the worst stall seen."""
    print("  size     way   puts/s  /file  p50 ms  p99 ms  max ms  db B/object  page ms")
    for size_bytes in sorted({run.size_bytes for run in runs}):
        file_puts = 0.0
        for way in _WAYS:
            rounds = [run for run in runs if (run.size_bytes, run.way) == (size_bytes, way)]
            puts = statistics.median(run.puts_per_s for run in rounds)
            file_puts = file_puts or puts
            p50, p99 = (
                statistics.median(run.latency_ms(quantile) for run in rounds) for quantile in (0.5, 0.99)
            )
            print(
                f"{size_bytes / 1024:4.0f} KiB {way:>7} {puts:8.0f} {puts / file_puts:6.2f}"
                f" {p50:7.2f} {p99:7.2f} {max(run.latency_ms(1) for run in rounds):7.1f}"
                f" {statistics.median(run.database_bytes_per_object for run in rounds):12.0f}"
                f" {statistics.median(run.page_s for run in rounds) * 1e3:8.2f}"
            )


def main() -> None:
    """Measures every way for every size, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--sizes-kib", type=int, nargs="+", default=[1, 4, 8, 16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="time of writing in each run")
    options = parser.parse_args()
    runs: list[Measurement] = []
    for _ in range(options.rounds):
        for size_kib in options.sizes_kib:
            for way in _WAYS:
                with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="small-contents-") as folder:
                    runs.append(asyncio.run(measure(way, size_kib << 10, Path(folder), options.seconds)))
    _print_table(runs)


if __name__ == "__main__":
    main()
