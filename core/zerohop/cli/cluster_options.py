"""How a client command finds its cluster and talks to it: the options, the connection, the event loop."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec

import click
from click.core import ParameterSource

from zerohop.cli.data_folder import read_running_cluster
from zerohop.cli.exit_codes import ExitCode
from zerohop.errors import DeadlineExceeded, NotFound, PeerUnavailable

if TYPE_CHECKING:
    import ssl

    from zerohop.client.objects import ObjectClient

__all__ = ["Target", "as_json", "find_cluster", "on_cluster", "reading_cluster"]

P = ParamSpec("P")

_DEFAULT_DATA = Path("data")
"""Where `zerohop up` puts its data when nothing else is said."""

_CONNECT_TIMEOUT_S = 3.0
"""A master that is being restarted is back by then; one that is not is better reported than waited for."""


class Target(NamedTuple):
    """A cluster to connect to."""

    masters: tuple[str, ...]
    cluster_secret: str
    ssl_context: ssl.SSLContext | None


_Command = Callable[Concatenate["ObjectClient", P], Awaitable[int | None]]


def on_cluster(command: _Command[P]) -> Callable[..., None]:
    """Makes an async function of an `ObjectClient` a command: adds options, connects, runs, exits with its status."""
    return _made(command, heartbeat=False)


def reading_cluster(command: _Command[P]) -> Callable[..., None]:
    """As `on_cluster`, for one that reads contents: its heartbeats keep what it reads from being collected."""
    return _made(command, heartbeat=True)


def _made(command: _Command[P], *, heartbeat: bool) -> Callable[..., None]:
    @click.option(
        "--master", envvar="ZEROHOP_MASTER", help="Address of the master, such as tcp://10.0.0.1:19998."
    )
    @click.option(
        "--data",
        envvar="ZEROHOP_DATA",
        type=click.Path(file_okay=False, path_type=Path),
        help="Data folder of a `zerohop up`.  [default: ./data, if a cluster runs there]",
    )
    @click.option(
        "--cluster-secret-file",
        type=click.Path(dir_okay=False),
        help="File with the cluster secret (or set ZEROHOP_CLUSTER_SECRET, or ZEROHOP_CONFIG).",
    )
    @functools.wraps(command)
    def run(
        master: str | None,
        data: Path | None,
        cluster_secret_file: str | None,
        **kwargs: Any,
    ) -> None:
        if master and data and _came_from_environment("master") and not _came_from_environment("data"):
            master = None  # what is typed comes before what is set
        cluster = find_cluster(master, data, cluster_secret_file)
        status = asyncio.run(
            _interruptible(_connected(cluster, functools.partial(command, **kwargs), heartbeat=heartbeat))
        )
        if status:
            sys.exit(status)

    return run


async def _interruptible(work: Coroutine[Any, Any, int | None]) -> int | None:
    """Ends the process on Ctrl-C, which cancels `work`, once that has cleaned up after itself.

    At once, because leaving the loop in an orderly way would wait for a thread that waits for standard input.
    """
    try:
        return await work
    except asyncio.CancelledError:
        sys.stdout.flush()
        os._exit(ExitCode.INTERRUPTED)


def _came_from_environment(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.ENVIRONMENT


async def _connected(
    cluster: Target, command: Callable[[ObjectClient], Awaitable[int | None]], *, heartbeat: bool
) -> int | None:
    from zerohop.client.cluster import ClusterClient
    from zerohop.client.objects import ObjectClient

    try:
        client = await ClusterClient.connect(
            cluster.masters,
            name=f"zerohop-cli-{os.getpid()}",
            cluster_secret=cluster.cluster_secret or None,
            ssl_context=cluster.ssl_context,
            heartbeat=heartbeat,
            timeout_s=_CONNECT_TIMEOUT_S,
        )
    except (PeerUnavailable, DeadlineExceeded) as error:
        raise PeerUnavailable(
            f"no master answers at {', '.join(cluster.masters)} ({error.message}): start a cluster with "
            "`zerohop up`, or name another one with --master ADDRESS or --data DIR"
        ) from None
    async with client:
        return await command(ObjectClient(client))


def find_cluster(master: str | None, data: Path | None, cluster_secret_file: str | None) -> Target:
    """The cluster that the options name. Raises PeerUnavailable when they name none that runs, ConfigError."""
    if master:
        masters = tuple(address.strip() for address in master.split(",") if address.strip())
    else:
        masters = (_master_of(data),)
    secret, context = _credentials(cluster_secret_file)
    return Target(masters, secret, context)


def _master_of(data: Path | None) -> str:
    try:
        return read_running_cluster(data or _DEFAULT_DATA).master
    except NotFound as error:
        if data is not None:
            raise PeerUnavailable(error.message) from None
        raise PeerUnavailable(
            "no cluster was named, and none runs on ./data: start one with `zerohop up`, or name one with "
            "--master ADDRESS (ZEROHOP_MASTER) or --data DIR (ZEROHOP_DATA)"
        ) from None


def _credentials(cluster_secret_file: str | None) -> tuple[str, ssl.SSLContext | None]:
    """The cluster secret and TLS context, from the same settings as a proxy's, ZEROHOP_CONFIG included."""
    config_file = os.environ.get("ZEROHOP_CONFIG")
    if not (
        cluster_secret_file or config_file or any(name.startswith("ZEROHOP_CLUSTER_") for name in os.environ)
    ):
        return "", None
    from zerohop.config import ProxyConfig, load
    from zerohop.rpc.tls import rpc_client_tls

    shared = {name: value for name, value in os.environ.items() if name.startswith("ZEROHOP_CLUSTER_")}
    flags = {"cluster_secret_file": cluster_secret_file} if cluster_secret_file else {}
    file = Path(config_file) if config_file else None
    config = load(ProxyConfig, file=file, environ=shared, flags=flags).config
    return config.cluster_secret, rpc_client_tls(config)


def as_json(value: Any) -> str:
    """One line of JSON for a script."""
    import json

    return json.dumps(value, ensure_ascii=False)
