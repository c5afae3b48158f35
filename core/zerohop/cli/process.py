"""`zerohop master|worker|proxy`: the shell around one process of a cluster.

It loads the configuration, sets up logging, signals and the event loop, announces readiness with one line on
standard output, and runs the process until SIGTERM or SIGINT asks it to drain and stop; a second signal ends it at
once.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import logging
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import click
import uvloop

from zerohop.cli.config_flags import flags_of, load_config
from zerohop.cli.exit_codes import FAILED
from zerohop.config import MasterConfig, ProcessConfig, ProxyConfig, WorkerConfig
from zerohop.heap import keep_freed_memory, settle_objects
from zerohop.logs import configure_logs

__all__ = ["master", "proxy", "worker"]

_log = logging.getLogger(__name__)

_DESCRIPTORS: Final = 65_536
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class _Run(Protocol):
    """What each process package exposes as `process.run`."""

    def __call__(
        self, config: Any, *, ready: Callable[[str], None], stop: asyncio.Event
    ) -> Awaitable[None]: ...


def _supervised(command: Decorated) -> Decorated:
    """The two flags by which the supervisor names its child and tells its own pid."""
    command = click.option("--process-name", hidden=True)(command)
    return click.option("--supervisor-pid", type=int, hidden=True)(command)


@click.command()
@flags_of(MasterConfig)
@_supervised
def master(config_file: Path | None, **flags: Any) -> None:
    """Run the master: namespace and cluster membership."""
    _run_process("zerohop_master.process", MasterConfig, config_file, flags)


@click.command()
@flags_of(WorkerConfig)
@_supervised
def worker(config_file: Path | None, **flags: Any) -> None:
    """Run a worker: cached blocks over the under-store."""
    _run_process("zerohop_worker.process", WorkerConfig, config_file, flags)


@click.command()
@flags_of(ProxyConfig)
@_supervised
def proxy(config_file: Path | None, **flags: Any) -> None:
    """Run a proxy: the S3 front-end."""
    _run_process("zerohop_proxy.process", ProxyConfig, config_file, flags)


def _run_process(
    module: str, struct: type[ProcessConfig], config_file: Path | None, flags: dict[str, Any]
) -> None:
    supervisor_pid = flags.pop("supervisor_pid")
    if supervisor_pid is not None:
        _die_with(supervisor_pid)
    kind = module.removeprefix("zerohop_").partition(".")[0]
    name = flags.pop("process_name") or kind
    config = load_config(struct, config_file, flags).config
    configure_logs(name, form=config.log_format, level=config.log_level)
    _raise_descriptor_limit()
    keep_freed_memory()
    run: _Run = importlib.import_module(module).run

    def announce(text: str) -> None:
        settle_objects()
        click.echo(f"{name} ready {text}".rstrip())
        if supervisor_pid is not None:
            # The supervisor reads this one line; whatever else is printed shall not wait in a pipe for nobody.
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    uvloop.run(_until_stopped(run, config, announce))


def _raise_descriptor_limit() -> None:
    """Takes as many descriptors as the process may have: connections, blocks lent to us, files of the tiers.

    The usual soft limit of 1024 is there for programs that call select(2), which none of ours does.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _die_with(supervisor_pid: int) -> None:
    """Makes the kernel kill this process when the supervisor is gone, however it went.

    The alternative, a pipe that ends when the supervisor does, needs this process to be well enough to notice; the
    signal also reaches one that hangs or is stopped. It is not sent to who asks too late, hence the look at the
    parent afterwards.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != supervisor_pid:
        sys.exit(FAILED)


async def _until_stopped(run: _Run, config: ProcessConfig, ready: Callable[[str], None]) -> None:
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(128 + signal.SIGTERM)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    # A proxy with a certificate replaces this.
    loop.add_signal_handler(signal.SIGHUP, lambda: _log.info("SIGHUP ignored: there is nothing to reload"))
    await run(config, ready=ready, stop=stop)
