"""`zerohop up`: a whole cluster on this machine, in the foreground."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from zerohop import __version__
from zerohop.cli.child import ChildSpec
from zerohop.cli.config_flags import flags_of, load_config
from zerohop.cli.data_folder import DataFolder, RunningCluster
from zerohop.cli.s3_port import claim_s3_port, is_loopback
from zerohop.cli.supervisor import Supervisor
from zerohop.clock import SystemClock
from zerohop.config import Loaded, ProxyConfig, UpConfig, WorkerConfig
from zerohop.logs import configure_logs

__all__ = ["up"]


@click.command()
@flags_of(UpConfig)
def up(config_file: Path | None, **flags: Any) -> None:
    """Run a whole cluster on this machine, in the foreground: a master, a worker and a proxy per core."""
    settings = load_config(UpConfig, config_file, flags).config
    sys.exit(asyncio.run(_run(settings, config_file)))


async def _run(settings: UpConfig, config_file: Path | None) -> int:
    proxy = load_config(ProxyConfig, config_file, {}).config
    configure_logs("up", form=proxy.log_format, level=proxy.log_level)
    folder = DataFolder.open(Path(settings.data))
    try:
        count = settings.proxies or len(os.sched_getaffinity(0))
        worker = _worker_settings(folder, config_file)
        sockets = claim_s3_port(settings.host, settings.port, count)
    except BaseException:
        folder.close()
        raise
    running = RunningCluster(
        version=__version__,
        endpoint=_endpoint(settings.host, sockets[0].getsockname()[1]),
        master=f"unix:{folder.run_dir / 'master.sock'}",
        worker=f"unix:{folder.run_dir / 'worker.sock'}",
        run_dir=str(folder.run_dir),
        mem_dir=worker.config.mem_dir if worker.origins["mem_dir"].startswith("auto") else "",
        pids={"supervisor": os.getpid()},
    )
    supervisor = Supervisor(
        folder=folder,
        specs=_specs(settings, config_file, folder, running, worker.config, sockets),
        sockets=sockets,
        running=running,
        start_timeout_s=settings.start_timeout_s,
        drain_s=proxy.drain_s,
        restarts_per_minute=settings.restarts_per_minute,
        clock=SystemClock(),
        say=click.echo,
    )
    return await supervisor.run(lambda: _welcome(settings, proxy, running))


def _worker_settings(folder: DataFolder, config_file: Path | None) -> Loaded[WorkerConfig]:
    """The worker's configuration inside the data folder; the under-store may be configured to be elsewhere."""
    inside: dict[str, object] = {"data_dir": folder.path / "worker", "socket_dir": folder.run_dir}
    loaded = load_config(WorkerConfig, config_file, inside)
    if loaded.origins["under_store"].startswith("auto"):
        inside["under_store"] = folder.path / "store"
        loaded = load_config(WorkerConfig, config_file, inside)
    return loaded


def _specs(
    settings: UpConfig,
    config_file: Path | None,
    folder: DataFolder,
    running: RunningCluster,
    worker: WorkerConfig,
    sockets: Sequence[socket.socket],
) -> list[ChildSpec]:
    """The command lines of the children: the user's file and environment reach them too, these flags win."""

    def spec(name: str, command: str, *fds: int, **flags: object) -> ChildSpec:
        arguments = [f"--{key.replace('_', '-')}={value}" for key, value in flags.items()]
        file = [f"--config={config_file.resolve()}"] if config_file else []
        return ChildSpec(name, (command, *file, *arguments), (folder.lock_fd, *fds))

    anonymous = {"anonymous": "yes"} if settings.anonymous else {}
    return [
        spec("master", "master", listen=running.master, data_dir=folder.path / "master"),
        spec(
            "worker",
            "worker",
            listen=running.worker,
            master=running.master,
            data_dir=worker.data_dir,
            socket_dir=worker.socket_dir,
            under_store=worker.under_store,
        ),
        *(
            spec(
                f"proxy-{index}",
                "proxy",
                sock.fileno(),
                master=running.master,
                host=settings.host,
                port=sock.getsockname()[1],
                listen_fd=sock.fileno(),
                **anonymous,
            )
            for index, sock in enumerate(sockets)
        ),
    ]


def _endpoint(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _welcome(settings: UpConfig, proxy: ProxyConfig, running: RunningCluster) -> None:
    """The last lines of the start: what is open to whom, the endpoint, and something to try."""
    endpoint = running.endpoint
    if settings.anonymous or proxy.anonymous == "yes":
        click.echo("anonymous requests are accepted from everybody who can reach the port")
    elif is_loopback(settings.host) and proxy.anonymous == "auto":
        click.echo("anonymous requests are accepted: only programs on this machine can reach the port")
        bucket = f"{endpoint}/my-bucket"
        click.echo(
            f"try: curl -X PUT {bucket} && echo hello | curl -T - {bucket}/hello.txt && curl {bucket}/hello.txt"
        )
    click.echo(f"zerohop is ready: S3 at {endpoint} (and under {endpoint}/api/v1/s3)")
