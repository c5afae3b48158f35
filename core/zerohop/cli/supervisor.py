"""The supervisor behind `zerohop up`: one master, one worker and several proxies as child processes.

It starts them in that order, each when the one before is ready; starts a crashed one again, within a bound; and
stops them in the opposite order, so that what is in flight can finish. It owns the sockets of the S3 port and the
lock of the data folder, and hands both down: a proxy that is restarted finds its connections waiting. The port is
opened as soon as the master answers, and not before: it alone knows whether the cluster has users, without whom
nobody beyond this machine may be let in.

Concurrency: everything runs on one event loop. One task per child watches it, restarts included; `_stop` and
`_kill` only set events, and `run` alone takes the cluster down.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from zerohop.cli.child import Child, ChildSpec, StartFailed, stop_children
from zerohop.cli.data_folder import DataFolder, RunningCluster
from zerohop.cli.exit_codes import ExitCode
from zerohop.cli.restart_policy import RestartPolicy
from zerohop.clock import Clock
from zerohop.errors import ZerohopError

__all__ = ["S3Port", "Supervisor"]

_log = logging.getLogger(__name__)

_STOP_TIMEOUT_S: Final = 30.0
"""What the worker and the master each get for their stop; both have nothing left to wait for but the disk."""


@dataclass(frozen=True, slots=True)
class S3Port:
    """The open port: its listening sockets, and the proxies that serve them."""

    endpoint: str
    sockets: Sequence[socket.socket]
    proxies: Sequence[ChildSpec]


class Supervisor:
    """Runs one cluster on one data folder. Used once."""

    def __init__(
        self,
        *,
        folder: DataFolder,
        master: ChildSpec,
        worker: ChildSpec,
        open_port: Callable[[], Awaitable[S3Port]],
        running: RunningCluster,
        start_timeout_s: float,
        drain_s: float,
        restarts_per_minute: int,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        """`open_port` is called once the master answers, and may raise what forbids it.

        `say` prints a line for the user.
        """
        self._folder = folder
        self._master = master
        self._worker = worker
        self._open_port = open_port
        self._port = S3Port("", (), ())
        self._running = running
        self._start_timeout_s = start_timeout_s
        self._drain_s = drain_s
        self._clock = clock
        self._say = say
        self._restarts_per_minute = restarts_per_minute
        self._children: dict[str, Child] = {}
        self._stopping = asyncio.Event()
        self._exit_status: int = ExitCode.OK
        self._refused: ZerohopError | None = None

    async def run(self, on_ready: Callable[[RunningCluster], None]) -> int:
        """Starts everything, calls `on_ready`, and returns the exit status once everything has ended.

        Raises what `open_port` raised, once what had been started has ended.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        watchers: list[asyncio.Task[None]] = []
        try:
            async with asyncio.TaskGroup() as group:
                starting = group.create_task(self._start_all())
                stopped = group.create_task(self._stopping.wait())
                await asyncio.wait((starting, stopped), return_when=asyncio.FIRST_COMPLETED)
                if not self._stopping.is_set() and starting.done() and starting.result():
                    on_ready(self._running)
                    watchers = [group.create_task(self._watch(spec)) for spec in self._specs()]
                    await self._stopping.wait()
                self._stopping.set()
                for task in (starting, *watchers):
                    task.cancel()
            await self._stop_all()
        finally:
            for child in self._children.values():
                child.signal(signal.SIGKILL)
            self._close()
        if self._refused is not None:
            raise self._refused
        return self._exit_status

    def _specs(self) -> Sequence[ChildSpec]:
        return (self._master, self._worker, *self._port.proxies)

    # ------------------------------------------------------------------------------------------------- starting

    async def _start_all(self) -> bool:
        """Whether all are ready. The first proxy comes alone, so that what it refuses is said once."""
        started = False
        try:
            self._say(await self._start(self._master))
            self._port = await self._open_port()
            self._running = msgspec.structs.replace(self._running, endpoint=self._port.endpoint)
            first, *further = self._port.proxies
            for spec in (self._worker, first):
                self._say(await self._start(spec))
            async with asyncio.TaskGroup() as group:
                starts = [group.create_task(self._start(spec)) for spec in further]
            for start in starts:
                self._say(start.result())
            self._describe()
            started = True
        except* StartFailed as failed:
            for error in failed.exceptions:
                assert isinstance(error, StartFailed)
                _log.error("%s; the lines above say why", error)
                self._exit_status = max(error.returncode or 0, ExitCode.FAILED)
        except* ZerohopError as refused:
            self._refused = next(error for error in refused.exceptions if isinstance(error, ZerohopError))
        return started

    async def _start(self, spec: ChildSpec) -> str:
        child = self._children[spec.name] = await Child.start(spec)
        return await child.wait_ready(self._start_timeout_s)

    def _describe(self) -> None:
        pids = {name: child.pid for name, child in self._children.items()}
        self._running = msgspec.structs.replace(self._running, pids=self._running.pids | pids)
        self._folder.describe(self._running)

    # ------------------------------------------------------------------------------------------------- watching

    async def _watch(self, spec: ChildSpec) -> None:
        """Starts the child again whenever it ends, until the cluster stops or there were too many crashes."""
        policy = RestartPolicy(self._restarts_per_minute)
        while True:
            status = await self._children[spec.name].wait()
            delay_s = policy.delay_after_crash(self._clock.monotonic_s())
            if delay_s is None or status == ExitCode.USAGE:
                why = "will not start with this configuration" if delay_s is not None else "keeps crashing"
                _log.error("%s %s (status %d): stopping the cluster", spec.name, why, status)
                self._exit_status = ExitCode.FAILED
                self._stopping.set()
                return
            _log.warning("%s ended with status %d; restarting it in %.2f s", spec.name, status, delay_s)
            await asyncio.sleep(delay_s)
            # A start that fails leaves an ended child, which the next round counts as one more crash.
            with contextlib.suppress(StartFailed):
                line = await self._start(spec)
                self._describe()
                self._say(line)

    # ------------------------------------------------------------------------------------------------- stopping

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            _log.warning("second signal: killing the processes")
            self._exit_status = ExitCode.INTERRUPTED
            for child in self._children.values():
                child.signal(signal.SIGKILL)
            return
        self._say("stopping: requests in flight may finish; a second signal kills")
        self._stopping.set()

    def _on_hangup(self) -> None:
        """Passed on to those who know what to reload."""
        for child in self._children.values():
            if child.is_ready:  # before that, the signal would end it
                child.signal(signal.SIGHUP)

    async def _stop_all(self) -> None:
        """Proxies first, then the worker, then the master: each may still call those that stop after it."""
        # New clients are refused from here on instead of waiting for nobody.
        for sock in self._port.sockets:
            sock.close()
        master, worker, *proxies = (self._children.get(spec.name) for spec in self._specs())
        for group, timeout_s in (
            (proxies, self._drain_s + _STOP_TIMEOUT_S),
            ([worker], _STOP_TIMEOUT_S),
            ([master], _STOP_TIMEOUT_S),
        ):
            for name, status in (
                await stop_children([one for one in group if one is not None], timeout_s)
            ).items():
                _log.warning("%s did not stop as asked, but with status %d", name, status)
                self._exit_status = self._exit_status or ExitCode.FAILED

    def _close(self) -> None:
        for sock in self._port.sockets:
            sock.close()
        # The memory tier is worth nothing without the cluster, and its user wants the memory back.
        if self._running.mem_dir:
            shutil.rmtree(self._running.mem_dir, ignore_errors=True)
        self._folder.close()
