"""Files of this machine as sources and targets of copies."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from pathlib import Path, PurePosixPath

from zerohop.cli.paths import STANDARD_STREAM
from zerohop.client.objects import ObjectClient
from zerohop.errors import InvalidRequest

__all__ = ["download", "file_chunks", "relative_file", "walk"]

_CHUNK_BYTES = 1 << 20


async def file_chunks(path: Path, advance: Callable[[int], None]) -> AsyncGenerator[bytes, None]:
    """The bytes of a file, or of standard input, in pieces; `advance` is told of each."""
    # Unbuffered: closing a buffered file waits for a thread that still reads from it, as from a terminal.
    standard = path == STANDARD_STREAM
    with open(sys.stdin.fileno() if standard else path, "rb", buffering=0, closefd=not standard) as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            advance(len(chunk))
            yield chunk


async def download(
    objects: ObjectClient, bucket: str, key: str, target: Path, advance: Callable[[int], None]
) -> None:
    """Writes an object to a file: under another name first, so that nobody ever sees half of it."""
    await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
    fd, unfinished = tempfile.mkstemp(prefix=f".{target.name[:64]}.", suffix=".zerohop", dir=target.parent)
    try:
        with os.fdopen(fd, "wb", buffering=0) as file:
            async with aclosing(objects.read(bucket, key)) as chunks:
                async for chunk in chunks:
                    await asyncio.to_thread(_write_all, file.fileno(), memoryview(chunk))
                    advance(len(chunk))
            os.fchmod(file.fileno(), 0o666 & ~_umask())
        Path(unfinished).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(unfinished).unlink()
        raise


def _write_all(fd: int, data: memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def relative_file(relative_key: str) -> PurePosixPath:
    """The path below a folder that a key stands for. Raises InvalidRequest for one that no file can have.

    No key may lead out of the folder, and two keys never to one file: so nothing is normalised.
    """
    parts = relative_key.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise InvalidRequest(
            f"the key {relative_key!r} cannot be the name of a file: copy it alone, to a name of your choice"
        )
    return PurePosixPath(*parts)


def walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files below a folder with their relative names, and empty folders with a name that ends in `/`.

    Links to files count as files; links to folders are not followed, which could go on for ever.
    """
    for here, folders, files in os.walk(folder):
        relative = Path(here).relative_to(folder).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        folders.sort()
        if prefix and not folders and not files:
            yield Path(here), prefix
        for name in sorted(files):
            yield Path(here, name), prefix + name
