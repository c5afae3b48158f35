"""`zerohop fs cp`: between this machine and the cluster, and within the cluster."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import NamedTuple

import click

from zerohop.cli.cluster_options import reading_cluster
from zerohop.cli.copy_progress import CopyProgress
from zerohop.cli.exit_codes import exit_code
from zerohop.cli.fs_change import destination
from zerohop.cli.local_files import download, file_chunks, relative_file, walk
from zerohop.cli.paths import STANDARD_STREAM, ClusterPath, parse
from zerohop.cli.standard_output import write_out
from zerohop.cli.tree import FOLDER_TYPE, find, objects_below, require
from zerohop.client.objects import ObjectClient
from zerohop.errors import InvalidRequest, NotFound, ZerohopError
from zerohop.model import WritePolicy

__all__ = ["cp"]

_AT_ONCE = 8
"""Copies of a recursive cp that run at a time: hides the round trips of small objects, and each holds 1-2 MiB."""


class _Copy(NamedTuple):
    """One object to copy; `run` is told how many bytes have gone by."""

    name: str
    size_bytes: int
    run: Callable[[Callable[[int], None]], Awaitable[None]]


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("target")
@click.option("-R", "--recursive", is_flag=True, help="Folders with all that is in them.")
@click.option("-n", "--no-clobber", is_flag=True, help="Skip what exists already.")
@click.option(
    "--policy",
    type=click.Choice([policy.value for policy in WritePolicy]),
    default=WritePolicy.CACHE_THROUGH.value,
    show_default=True,
    help="When a write to the cluster counts as done.",
)
@reading_cluster
async def cp(
    objects: ObjectClient,
    sources: tuple[str, ...],
    target: str,
    recursive: bool,
    no_clobber: bool,
    policy: str,
) -> int:
    """Copy objects and files.

    /bucket/key is in the cluster; ./file, ../file, ~/file and file:/any/path are on this machine; - is standard
    input or output. Each file appears whole or not at all. With -R objects are copied a few at a time; what cannot be
    copied is reported, the rest goes on.
    """
    plan = _Plan(objects, parse(target), WritePolicy(policy), recursive, no_clobber)
    places = [parse(source) for source in sources]
    if len(places) > 1 and not await plan.target_is_folder():
        raise InvalidRequest(f"{target} is no folder: several sources need one")
    failures: list[ZerohopError] = []
    with CopyProgress() as progress:
        for place in places:
            copies = plan.from_cluster(place) if isinstance(place, ClusterPath) else plan.from_here(place)
            await _run_all(copies, progress, failures, stop_at_first=not recursive)
    return exit_code(failures[0]) if failures else 0


async def _run_all(
    copies: AsyncIterator[_Copy], progress: CopyProgress, failures: list[ZerohopError], *, stop_at_first: bool
) -> None:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def run(copy: _Copy) -> None:
        try:
            await copy.run(progress.advance)
            progress.done(copy.name)
        except (ZerohopError, OSError) as error:
            wrapped = error if isinstance(error, ZerohopError) else ZerohopError(_said(error))
            if isinstance(error, BrokenPipeError):
                raise
            if stop_at_first:
                raise wrapped from None
            failures.append(wrapped)
            click.echo(f"zerohop: {copy.name}: {wrapped.message}", err=True)
        finally:
            slots.release()

    # One failure that is raised ends the others: the group cancels them.
    try:
        async with asyncio.TaskGroup() as group:
            async for copy in copies:
                await slots.acquire()
                progress.expect(copy.size_bytes)
                group.create_task(run(copy))
    except* (ZerohopError, BrokenPipeError) as several:
        raise several.exceptions[0] from None


def _said(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


class _Plan:
    """Turns a source into copies to the target."""

    def __init__(
        self,
        objects: ObjectClient,
        target: ClusterPath | Path,
        policy: WritePolicy,
        recursive: bool,
        no_clobber: bool,
    ) -> None:
        self._objects = objects
        self._target = target
        self._policy = policy
        self._recursive = recursive
        self._no_clobber = no_clobber

    async def target_is_folder(self) -> bool:
        """Whether things can be copied into the target under their own names."""
        if isinstance(self._target, Path):
            return self._target == STANDARD_STREAM or self._target.is_dir()
        return self._target.key.endswith("/") or (await find(self._objects, self._target)).is_folder

    # From the cluster

    async def from_cluster(self, source: ClusterPath) -> AsyncIterator[_Copy]:
        """One object, or with -R a folder's."""
        found = await require(self._objects, source)
        if found.file is not None:
            size = found.file.record.size_bytes
            yield _Copy(str(source), size, self._copy_out(source, await self._place(source.name)))
        elif not self._recursive:
            raise InvalidRequest(f"{source} is a folder: add -R to copy it with all that is in it")
        if not (found.is_folder and self._recursive):
            return
        if self._target == STANDARD_STREAM:
            raise InvalidRequest("a folder cannot be copied to standard output")
        root = await self._place(source.name)
        async for entry in objects_below(self._objects, source):
            relative = entry.key[len(source.folder_prefix) :]
            if relative:
                old = ClusterPath(source.bucket, entry.key)
                yield _Copy(str(old), entry.size_bytes, self._copy_below(old, root, relative))

    def _copy_below(
        self, old: ClusterPath, root: ClusterPath | Path, relative: str
    ) -> Callable[[Callable[[int], None]], Awaitable[None]]:
        async def run(advance: Callable[[int], None]) -> None:
            if isinstance(root, ClusterPath):
                await self._copy_out(old, root.child(relative))(advance)
            elif relative.endswith("/"):
                (root / relative_file(relative.rstrip("/"))).mkdir(parents=True, exist_ok=True)
            else:
                await self._copy_out(old, root / relative_file(relative))(advance)

        return run

    def _copy_out(
        self, old: ClusterPath, new: ClusterPath | Path
    ) -> Callable[[Callable[[int], None]], Awaitable[None]]:
        async def run(advance: Callable[[int], None]) -> None:
            if isinstance(new, ClusterPath):
                if not await self._skip(new):
                    copied = await self._objects.copy(old.bucket, old.key, new.bucket, new.key)
                    advance(copied.record.size_bytes)
            elif new == STANDARD_STREAM:
                async with aclosing(self._objects.read(old.bucket, old.key)) as chunks:
                    async for chunk in chunks:
                        await write_out(chunk)
            elif not (self._no_clobber and new.exists()):
                await download(self._objects, old.bucket, old.key, new, advance)

        return run

    # From here

    async def from_here(self, source: Path) -> AsyncIterator[_Copy]:
        """One file or standard input, or with -R a folder's files."""
        if isinstance(self._target, Path):
            raise InvalidRequest(f"{source} and {self._target} are both on this machine: use cp")
        if source == STANDARD_STREAM:
            if await self.target_is_folder():
                raise InvalidRequest(f"{self._target} is a folder: name the object to write")
            yield _Copy("standard input", 0, self._copy_in(source, self._target, -1))
        elif not source.exists():
            raise NotFound(f"{source} does not exist on this machine")
        elif not source.is_dir():
            size = source.stat().st_size if source.is_file() else -1
            place = await self._place(source.name)
            assert isinstance(place, ClusterPath)
            yield _Copy(str(source), max(size, 0), self._copy_in(source, place, size))
        elif not self._recursive:
            raise InvalidRequest(f"{source} is a folder: add -R to copy it with all that is in it")
        else:
            root = await self._place(source.resolve().name)
            assert isinstance(root, ClusterPath)
            for file, relative in walk(source):
                size = 0 if relative.endswith("/") else file.stat().st_size if file.is_file() else -1
                yield _Copy(str(file), max(size, 0), self._copy_in(file, root.child(relative), size))

    def _copy_in(
        self, source: Path, new: ClusterPath, size_bytes: int
    ) -> Callable[[Callable[[int], None]], Awaitable[None]]:
        async def run(advance: Callable[[int], None]) -> None:
            if await self._skip(new):
                return
            if new.key.endswith("/"):
                await self._objects.write(new.bucket, new.key, b"", headers={"content-type": FOLDER_TYPE})
                return
            kind = mimetypes.guess_type(new.key)[0] or "application/octet-stream"
            async with aclosing(file_chunks(source, advance)) as chunks:
                await self._objects.write(
                    new.bucket,
                    new.key,
                    chunks,
                    size_bytes=size_bytes,
                    policy=self._policy,
                    headers={"content-type": kind},
                )

        return run

    # Both

    async def _place(self, name: str) -> ClusterPath | Path:
        """Where a source called `name` goes."""
        if isinstance(self._target, ClusterPath):
            return await destination(self._objects, self._target, name)
        if self._target != STANDARD_STREAM and self._target.is_dir():
            return self._target / name
        return self._target

    async def _skip(self, new: ClusterPath) -> bool:
        return self._no_clobber and (await find(self._objects, new)).file is not None
