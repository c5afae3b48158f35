"""Commits until it is killed or fails, and prints the key of each commit once it is acknowledged."""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
from pathlib import Path

from zerohop.errors import ZerohopError
from zerohop_master.kv.interface import Commit
from zerohop_master.kv.sqlite import SqliteStore


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


async def commit_for_ever(store: SqliteStore, name: str) -> None:
    number = 0
    while True:
        number += 1
        key = f"{name}/{number}".encode()
        await store.commit(Commit(puts=[(key, os.urandom(1500)), (b"twin/" + key, b"")]))
        say(key.decode())


async def fail_and_go_on(store: SqliteStore) -> None:
    """Prints what the first failing commit raised, what the next one raised, and that reads still work."""
    for name in ["before", "after"]:
        try:
            await commit_for_ever(store, name)
        except ZerohopError as error:
            say(type(error).__name__)
    (row,) = await store.get([b"before/1"])
    say("read-ok" if row is not None else "read-wrong")


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--name", default="c")
    parser.add_argument("--file-limit-bytes", type=int)
    options = parser.parse_args()
    store = await SqliteStore.open(
        options.path, wal_limit_bytes=1 << 30 if options.file_limit_bytes else 1 << 20
    )
    if options.file_limit_bytes:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.file_limit_bytes, resource.RLIM_INFINITY))
        await fail_and_go_on(store)
        os._exit(0)  # as a crash: what the log holds must be enough
    await asyncio.gather(*(commit_for_ever(store, f"{options.name}/{task}") for task in range(8)))


if __name__ == "__main__":
    asyncio.run(main())
