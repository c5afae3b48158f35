"""Looking at all processes of a cluster at once, through their admin ports."""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple

import aiohttp

from zerohop.cli.cluster_rates import Look, Samples, parse
from zerohop.client.objects import ObjectClient
from zerohop.errors import ConfigError
from zerohop.model import ADMIN
from zerohop.rpc.address import Address
from zerohop.rpc.master_api import ClusterReport, GetReport

__all__ = ["Member", "look"]

_TIMEOUT_S: Final = 2.0
"""A process that does not show its metrics by then is shown as not answering."""
_MAX_AT_A_TIME: Final = 32


class Member(NamedTuple):
    """A process as it is reported; `answers` is whether its admin port did."""

    kind: str
    name: str
    admin_address: str
    live: bool
    answers: bool


async def look(objects: ObjectClient) -> tuple[ClusterReport, list[Member], Look]:
    """The master's report, and the metrics of everybody in it who is alive and answers."""
    report = await objects.client.call(GetReport(caller=ADMIN))
    known = [("master", "master", report.admin_address, True)]
    known += [("worker", one.worker_id, one.admin_address, one.live) for one in report.workers]
    known += [("proxy", one.proxy_id, one.admin_address, True) for one in report.proxies if one.address]
    slots = asyncio.Semaphore(_MAX_AT_A_TIME)
    found = await asyncio.gather(*(_samples(slots, address if live else "") for *_, address, live in known))
    members = [
        Member(kind, name, address, live, samples is not None)
        for (kind, name, address, live), samples in zip(known, found, strict=True)
    ]
    answers = {
        name: samples for (_, name, *_), samples in zip(known, found, strict=True) if samples is not None
    }
    return report, members, Look(time.monotonic(), answers)


async def _samples(slots: asyncio.Semaphore, address: str) -> Samples | None:
    if not address:
        return None
    try:
        where = Address.parse(address)
        connector = aiohttp.UnixConnector(where.path) if where.is_unix else aiohttp.TCPConnector()
        host = "localhost" if where.is_unix else f"{where}".partition("://")[2]
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with (
            slots,
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(f"http://{host}/metrics") as response,
        ):
            text = await response.text()
            return parse(text) if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, ConfigError):
        return None
