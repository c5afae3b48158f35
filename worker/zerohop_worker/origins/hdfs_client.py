"""Calls of hdfs-native, each in a thread, and what its errors mean.

The library has an interface for asyncio, too, but that polls its futures where there is no runtime for them to sleep
in: 0.14 breaks (a panic, not an error) as soon as a NameNode cannot be reached.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from hdfs_native import Client

from zerohop.errors import InvalidRequest, OriginRefused, OutOfSpace, UnderStoreFailed, ZerohopError
from zerohop_worker.origins.options import HdfsSettings
from zerohop_worker.pool import ThreadPool

__all__ = ["HdfsCalls", "hdfs_error"]

P = ParamSpec("P")
T = TypeVar("T")

_PRINCIPAL: Final = "hadoop.security.authentication"
_RPC_ERROR: Final = re.compile(r'RPCError\("[\w.$]*?([A-Za-z]+)", "(.*?)(?:\\n|"\)$)', re.DOTALL)
_WORTH_SHOWING: Final = 300
_DENIED: Final = {"AccessControlException", "AuthorizationException", "AccessDeniedException"}
_FULL: Final = {"DSQuotaExceededException", "NSQuotaExceededException", "QuotaByStorageTypeExceededException"}
_SHAPE: Final = {
    "ParentNotDirectoryException": "a part of its path is a file, not a folder",
    "InvalidPathException": "HDFS does not accept the name",
    "HadoopIllegalArgumentException": "HDFS does not accept the name",
    "PathComponentTooLongException": "a part of the name is too long for HDFS",
    "MaxDirectoryItemsExceededException": "its folder holds as many files as HDFS lets it",
}
_OUR_FAULT: Final = ("InvalidArgument(", "SASLError", "GSSAPIError", "NoSASLMechanism", "UrlParseError")


class HdfsCalls:
    """One client, and the threads that call it."""

    def __init__(self, settings: HdfsSettings) -> None:
        """Raises OriginRefused when the options do not make a client."""
        self._settings = settings
        self._pool = ThreadPool(settings.threads, "origin-hdfs")
        try:
            self.client = Client(
                f"hdfs://{settings.authority}",
                _configuration(settings),
                settings.config_dir or None,
                kerberos_principal=settings.kerberos_principal or None,
                kerberos_keytab=settings.kerberos_keytab or None,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise OriginRefused(f"cannot open hdfs://{settings.authority}: {_told(error)}") from None

    async def run(self, what: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The call's result. `what` is tried, as in "write a/b". Raises FileNotFoundError besides what all do."""
        try:
            return await self._pool.run(lambda: _whole(call, *args, **kwargs))
        except FileNotFoundError:
            raise
        except (OSError, ValueError, RuntimeError) as error:
            raise hdfs_error(error, what) from error

    async def check_reachable(self) -> None:
        """Whether a NameNode of those given lets itself be reached at all: the library would try for much longer."""
        nodes = (self._settings.namenodes or self._settings.authority).split(",")
        told = ""
        for host, colon, port in (node.partition(":") for node in nodes):
            if not colon:
                return  # a nameservice: what that is stands in files that the library reads
            try:
                async with asyncio.timeout(self._settings.connect_timeout):
                    _, writer = await asyncio.open_connection(host, int(port))
            except (OSError, OverflowError) as error:  # a timeout is one, too
                told = _told(error) or f"no answer within {self._settings.connect_timeout:g} s"
                continue
            writer.close()
            return
        raise OriginRefused(f"cannot reach the NameNode at {', '.join(nodes)}: {told}", reason="Unreachable")

    def close(self) -> None:
        """Waits for the calls under way."""
        self._pool.close()


def _configuration(settings: HdfsSettings) -> dict[str, str]:
    """What overrides the files of `config_dir`."""
    found = {
        "dfs.client.failover.max.attempts": str(settings.max_attempts),
        "dfs.client.failover.sleep.base.millis": "200",
        "dfs.client.failover.sleep.max.millis": "5000",
        "dfs.client.socket-timeout": str(round(settings.read_timeout * 1000)),
    }
    if settings.kerberos_principal:
        found[_PRINCIPAL] = "kerberos"
    if settings.namenodes:
        service = settings.authority
        nodes = settings.namenodes.split(",")
        found[f"dfs.ha.namenodes.{service}"] = ",".join(f"nn{number}" for number in range(len(nodes)))
        for number, node in enumerate(nodes):
            found[f"dfs.namenode.rpc-address.{service}.nn{number}"] = node
    return found


def _whole(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """A panic of the library is no Exception; left alone it would end whoever waits."""
    try:
        return call(*args, **kwargs)
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise RuntimeError(f"its library broke: {error}") from None
        raise


def hdfs_error(error: Exception, what: str) -> ZerohopError:
    """`what` was tried, as in "write a/b". The library has few classes of errors: the text names Hadoop's own."""
    told = _told(error)
    found = _RPC_ERROR.match(str(error))
    name = found[1] if found else ""
    if name in _SHAPE or "(is not a directory)" in told:
        return InvalidRequest(f"cannot {what}: {_SHAPE.get(name, _SHAPE['ParentNotDirectoryException'])}")
    if "must both be directories" in told or isinstance(error, IsADirectoryError):
        return InvalidRequest(f"cannot {what}: there is a folder of that name")
    if isinstance(error, FileExistsError):
        return InvalidRequest(f"cannot {what}: there is something else of that name")
    if name in _FULL:
        return OutOfSpace(f"cannot {what}: {told}")
    if name in _DENIED or isinstance(error, PermissionError):
        return OriginRefused(f"cannot {what}: {told}", reason=name or "EACCES")
    if told.startswith(_OUR_FAULT):
        return OriginRefused(f"cannot {what}: {told}")
    return UnderStoreFailed(f"cannot {what}: {told}")


def _told(error: Exception) -> str:
    """Without the Java stack."""
    found = _RPC_ERROR.match(str(error))
    text = f"{found[1]}: {found[2]}" if found else str(error).partition("\n")[0]
    return text[:_WORTH_SHOWING]
