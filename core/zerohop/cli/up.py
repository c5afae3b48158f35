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
from zerohop.cli.supervisor import S3Port, Supervisor
from zerohop.client.master_link import MasterLink
from zerohop.clock import SystemClock
from zerohop.config import PROCESSES, Loaded, MasterConfig, ProxyConfig, UpConfig, WorkerConfig
from zerohop.errors import ConfigError
from zerohop.logs import configure_logs
from zerohop.rpc.address import Address
from zerohop.rpc.master_api import GetClusterView

__all__ = ["up"]


@click.command()
@flags_of(UpConfig)
def up(config_file: Path | None, **flags: Any) -> None:
    """Run a whole cluster on this machine, in the foreground: a master, a worker and a proxy per core."""
    settings = load_config(UpConfig, config_file, flags).config
    sys.exit(asyncio.run(_run(settings, config_file)))


async def _run(settings: UpConfig, config_file: Path | None) -> int:
    proxy = load_config(ProxyConfig, config_file, {}).config
    load_config(MasterConfig, config_file, {})  # what it refuses is said before anything is made
    configure_logs("up", form=proxy.log_format, level=proxy.log_level)
    folder = DataFolder.open(Path(settings.data))
    try:
        worker = _worker_settings(folder, config_file)
    except BaseException:
        folder.close()
        raise
    running = RunningCluster(
        version=__version__,
        endpoint="",
        master=f"unix:{folder.run_dir / 'master.sock'}",
        worker=f"unix:{folder.run_dir / 'worker.sock'}",
        run_dir=str(folder.run_dir),
        mem_dir=worker.config.mem_dir if worker.origins["mem_dir"].startswith("auto") else "",
        pids={"supervisor": os.getpid()},
    )
    specs = _Specs(folder, config_file)

    async def open_port() -> S3Port:
        if not (settings.anonymous or proxy.anonymous == "yes" or is_loopback(settings.host)):
            await _refuse_without_users(settings, proxy, running.master)
        sockets = claim_s3_port(
            settings.host, settings.port, settings.proxies or len(os.sched_getaffinity(0))
        )
        scheme = "https" if settings.tls_cert or proxy.tls_cert else "http"
        endpoint = _endpoint(scheme, settings.host, sockets[0].getsockname()[1])
        return S3Port(endpoint, sockets, specs.proxies(settings, running.master, sockets))

    supervisor = Supervisor(
        folder=folder,
        master=specs.master(running.master),
        worker=specs.worker(worker.config, running),
        open_port=open_port,
        running=running,
        start_timeout_s=settings.start_timeout_s,
        drain_s=proxy.drain_s,
        restarts_per_minute=settings.restarts_per_minute,
        clock=SystemClock(),
        say=click.echo,
    )
    return await supervisor.run(lambda ready: _welcome(settings, proxy, ready))


async def _refuse_without_users(settings: UpConfig, proxy: ProxyConfig, master: str) -> None:
    """Raises ConfigError when nobody could sign a request: asked of the master, before the port is open."""
    link = MasterLink([master], name="up", cluster_secret=proxy.cluster_secret or None, ssl_context=None)
    try:
        view = await link.call(GetClusterView(), timeout_s=settings.start_timeout_s)
    finally:
        await link.close()
    if view.user_count == 0:
        raise ConfigError(
            f"{settings.host} can be reached from other hosts, and there is no user who could sign a request: "
            "start it without --host, add one (zerohop user add NAME), and start it again as now; "
            "or let everybody in with --anonymous"
        )


def _worker_settings(folder: DataFolder, config_file: Path | None) -> Loaded[WorkerConfig]:
    """The worker's configuration inside the data folder; the under-store may be configured to be elsewhere."""
    inside: dict[str, object] = {"data_dir": folder.path / "worker", "socket_dir": folder.run_dir}
    loaded = load_config(WorkerConfig, config_file, inside)
    if loaded.origins["under_store"].startswith("auto"):
        inside["under_store"] = folder.path / "store"
        loaded = load_config(WorkerConfig, config_file, inside)
    return loaded


class _Specs:
    """The command lines of the children: the user's file and environment reach them too, these flags win."""

    def __init__(self, folder: DataFolder, config_file: Path | None) -> None:
        self._folder = folder
        self._config_file = config_file
        self._file = [f"--config={config_file.resolve()}"] if config_file else []

    def _spec(self, name: str, command: str, *fds: int, index: int = 0, **flags: object) -> ChildSpec:
        configured = load_config(PROCESSES[command], self._config_file, {})
        admin_socket = self._folder.run_dir / f"{name}-admin.sock"
        flags["admin_listen"] = _admin_addresses(admin_socket, configured, index)
        arguments = [f"--{key.replace('_', '-')}={value}" for key, value in flags.items()]
        return ChildSpec(name, (command, *self._file, *arguments), (self._folder.lock_fd, *fds))

    def master(self, listen: str) -> ChildSpec:
        return self._spec("master", "master", listen=listen, data_dir=self._folder.path / "master")

    def worker(self, config: WorkerConfig, running: RunningCluster) -> ChildSpec:
        return self._spec(
            "worker",
            "worker",
            listen=running.worker,
            master=running.master,
            data_dir=config.data_dir,
            socket_dir=config.socket_dir,
            under_store=config.under_store,
        )

    def proxies(self, settings: UpConfig, master: str, sockets: Sequence[socket.socket]) -> list[ChildSpec]:
        further = {"anonymous": "yes"} if settings.anonymous else {}
        for name, value in (("tls_cert", settings.tls_cert), ("tls_key", settings.tls_key)):
            if value:
                further[name] = str(Path(value).resolve())
        return [
            self._spec(
                f"proxy-{index}",
                "proxy",
                sock.fileno(),
                master=master,
                host=settings.host,
                port=sock.getsockname()[1],
                listen_fd=sock.fileno(),
                index=index,
                **further,
            )
            for index, sock in enumerate(sockets)
        ]


def _admin_addresses(sock: Path, configured: Loaded[Any], index: int) -> str:
    """The socket in the folder, and configured TCP addresses; further proxies take the ports after the first's."""
    given = configured.config.admin_listen if configured.origins["admin_listen"] != "default" else ()
    parsed = [Address.parse(text) for text in given if not text.startswith("unix:")]
    further = [item.with_port(item.port + index) if item.port else item for item in parsed]
    return ",".join(map(str, (Address.unix(sock), *further)))


def _endpoint(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


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
