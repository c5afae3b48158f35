"""One child process of the supervisor: started, awaited until ready, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Child", "ChildSpec", "StartFailed", "stop_children"]

_LONGEST_LINE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start a process: its name, its arguments to `zerohop`, and the descriptors that it inherits."""

    name: str
    arguments: tuple[str, ...]
    pass_fds: tuple[int, ...]


class StartFailed(Exception):
    """A child ended, or took too long, before it was ready. `returncode` is None for the latter."""

    def __init__(self, name: str, returncode: int | None) -> None:
        how = (
            "was not ready in time"
            if returncode is None
            else f"ended with status {returncode} before it was ready"
        )
        super().__init__(f"{name} {how}")
        self.returncode = returncode


class Child:
    """A running child. Its standard error is ours; its standard output carries the readiness line."""

    def __init__(self, spec: ChildSpec, process: asyncio.subprocess.Process) -> None:
        self.spec = spec
        self._process = process
        self.is_ready = False
        """Whether it has said so; from then on it handles signals."""

    @classmethod
    async def start(cls, spec: ChildSpec) -> Child:
        """Starts it in a session of its own.

        So Ctrl-C in the terminal reaches the supervisor alone, which stops the processes in order.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the working folder is the user's, and no place to import modules from
            "-m",
            "zerohop.cli",
            *spec.arguments,
            "--supervisor-pid",
            str(os.getpid()),
            "--process-name",
            spec.name,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=spec.pass_fds,
            start_new_session=True,
            limit=_LONGEST_LINE_BYTES,
        )
        return cls(spec, process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet, as far as is known."""
        return self._process.returncode is None

    async def wait_ready(self, timeout_s: float) -> str:
        """The readiness line, once the child printed it. Raises StartFailed, after which the child is gone."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.wait()
            raise StartFailed(self.spec.name, None) from None
        if not line:
            raise StartFailed(self.spec.name, await self.wait())
        self.is_ready = True
        return line.decode(errors="replace").rstrip()

    async def wait(self) -> int:
        """Its exit status, once it has ended; negative for the number of a signal."""
        return await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal; harmless when the child has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


async def stop_children(children: Sequence[Child], timeout_s: float) -> dict[str, int]:
    """Asks them to drain and end, and kills those that have not after `timeout_s`.

    Returns the exit statuses other than 0 of those that were still running, by name.
    """
    running = [child for child in children if child.is_running]
    if not running:
        return {}
    for child in running:
        child.signal(signal.SIGTERM)
    waits = {child.spec.name: asyncio.create_task(child.wait()) for child in running}
    try:
        _, late = await asyncio.wait(waits.values(), timeout=timeout_s)
        if late:
            for child in running:
                child.signal(signal.SIGKILL)
            await asyncio.wait(late)
        return {name: wait.result() for name, wait in waits.items() if wait.result() != 0}
    finally:
        for wait in waits.values():
            wait.cancel()
