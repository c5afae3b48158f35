"""A whole cluster in one process and on one loop: the real `run` of master, worker and proxies, on Unix sockets in a
folder and a free port. Faults are easy to inject here, and a failure's traceback is whole."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from zerohop.config import MasterConfig, ProxyConfig, WorkerConfig
from zerohop_master import process as master_process
from zerohop_proxy import process as proxy_process
from zerohop_worker import process as worker_process

__all__ = ["InProcessCluster", "in_process_cluster"]

_PATIENCE_S = 30.0


@dataclass
class _Process:
    task: asyncio.Task[None]
    stop: asyncio.Event
    ready: str


@dataclass
class InProcessCluster:
    """Addresses and handles of the running parts; `proxy_ports` in the order of their start."""

    folder: Path
    master_address: str
    processes: dict[str, _Process] = field(default_factory=dict)
    proxy_ports: list[int] = field(default_factory=list)
    _begun: dict[str, tuple[Callable[..., Coroutine[Any, Any, None]], msgspec.Struct]] = field(
        default_factory=dict
    )

    @property
    def port(self) -> int:
        return self.proxy_ports[0]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(
        self, name: str, run: Callable[..., Coroutine[Any, Any, None]], config: msgspec.Struct
    ) -> str:
        """Starts one process and waits until it is ready; gives what it said."""
        stop = asyncio.Event()
        said: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(run(config, ready=said.set_result, stop=stop), name=name)
        waiting: set[asyncio.Future[Any]] = {task, said}
        done, _ = await asyncio.wait(waiting, timeout=_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if said not in done:
            task.cancel()
            await task
            raise AssertionError(f"{name} ended, or was not ready within {_PATIENCE_S} s")
        self.processes[name] = _Process(task, stop, said.result())
        self._begun[name] = (run, config)
        return said.result()

    async def stop(self, name: str) -> None:
        """Drains one process; raises what it raised."""
        process = self.processes.pop(name)
        process.stop.set()
        await asyncio.wait_for(process.task, _PATIENCE_S)

    async def stop_all(self) -> None:
        """Stops what runs, the master last: the others say good-bye to it."""
        for name in reversed(self._begun):
            if name in self.processes:
                await self.stop(name)

    @contextlib.asynccontextmanager
    async def without(self, name: str) -> AsyncIterator[None]:
        """Meanwhile that process does not run."""
        await self.stop(name)
        try:
            yield
        finally:
            await self.start(name, *self._begun[name])

    async def add_proxy(self, **options: Any) -> int:
        """Starts another proxy; gives its port."""
        config = ProxyConfig(**{"master": (self.master_address,), "port": 0, "drain_s": 2.0, **options})
        said = await self.start(f"proxy-{len(self.proxy_ports)}", proxy_process.run, config)
        port = int(said.rsplit(":", 1)[1])
        self.proxy_ports.append(port)
        return port


@contextlib.asynccontextmanager
async def in_process_cluster(
    *,
    master: dict[str, Any] | None = None,
    worker: dict[str, Any] | None = None,
    proxy: dict[str, Any] | None = None,
) -> AsyncIterator[InProcessCluster]:
    """A cluster of one master, one worker and one proxy; the arguments are fields of their configurations."""
    with tempfile.TemporaryDirectory(prefix="zh-") as name:  # short: socket paths have 108 bytes
        folder = Path(name)
        cluster = InProcessCluster(folder, f"unix://{folder}/m.sock")
        try:
            await cluster.start(
                "master",
                master_process.run,
                MasterConfig(
                    **{
                        "listen": (cluster.master_address,),
                        "data_dir": str(folder / "master"),
                        "kv_engine": "memory",
                        "heartbeat_s": 0.1,
                        **(master or {}),
                    }
                ),
            )
            await cluster.start(
                "worker",
                worker_process.run,
                WorkerConfig(
                    **{
                        "master": (cluster.master_address,),
                        "listen": (f"unix://{folder}/w.sock",),
                        "data_dir": str(folder / "worker"),
                        "socket_dir": str(folder),
                        "mem_dir": str(folder / "mem"),
                        "mem_quota": 64 << 20,
                        "ssd_quota": 256 << 20,
                        "hdd_quota": 0,
                        **(worker or {}),
                    }
                ),
            )
            await cluster.add_proxy(**(proxy or {}))
            yield cluster
        finally:
            await cluster.stop_all()
