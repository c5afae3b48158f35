"""The one way that every request goes: id, limits, parse, authenticate, dispatch, errors, access log.

Concurrency: `_in_flight` and `_busy` change only between awaits, on entering and on leaving `handle`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from aiohttp import web

from zerohop.errors import ZerohopError
from zerohop_proxy import xml_out
from zerohop_proxy.access_log import AccessLog
from zerohop_proxy.accounts import Accounts
from zerohop_proxy.admission import Admission
from zerohop_proxy.answer import XML, Answer, HeadWriter
from zerohop_proxy.auth import Identity
from zerohop_proxy.buckets import EXPECTED_OWNER, check_expected_owner
from zerohop_proxy.handlers import handler_of
from zerohop_proxy.hot_reads import HotReads
from zerohop_proxy.http_request import HttpRequest
from zerohop_proxy.progress import Progress
from zerohop_proxy.raw_request import RawRequest
from zerohop_proxy.refused_headers import check_headers
from zerohop_proxy.request import S3Request, Services
from zerohop_proxy.request_framing import check_framing
from zerohop_proxy.request_numbers import RequestNumbers
from zerohop_proxy.responder import Responder
from zerohop_proxy.routing import Route, route
from zerohop_proxy.s3_errors import S3Error, from_domain_error

__all__ = ["PREFIX", "Funnel"]

_log = logging.getLogger(__name__)

PREFIX: Final = "/api/v1/s3"


class Funnel:
    """Handles all requests of one proxy process."""

    def __init__(
        self,
        services: Services,
        *,
        admission: Admission,
        min_progress_timeout_s: float,
        min_progress_bytes: int,
        access_log: AccessLog | None = None,
        slow_request_s: float = 0.0,
        domains: tuple[str, ...] = (),
    ) -> None:
        """`domains` (lower case) are those below which a Host names a bucket. `slow_request_s` 0: none is slow."""
        self.accounts = Accounts(services.clock, access_log=access_log, slow_request_s=slow_request_s)
        self._domains = domains
        self._services = services
        self.heads = HeadWriter(services.clock)
        self._admission = admission
        self._min_progress_timeout_s = min_progress_timeout_s
        self._min_progress_bytes = min_progress_bytes
        self._clock = services.clock
        self.hot_reads = HotReads(
            services,
            heads=self.heads,
            admission=admission,
            accounts=self.accounts,
            prefix=PREFIX,
            domains=domains,
        )
        self._idle = asyncio.Event()
        self._idle.set()
        # The connections that work on a request; as many as requests, since a connection works on one at a time.
        self._busy: set[object] = set()

    @property
    def numbers(self) -> RequestNumbers:
        """What is counted of the requests that have ended."""
        return self.accounts.numbers

    @property
    def busy(self) -> frozenset[object]:
        """Connections (aiohttp protocols) with a request in flight."""
        return frozenset(self._busy)

    @property
    def in_flight(self) -> int:
        """Requests being worked on."""
        return len(self._busy)

    @property
    def buffered_bytes(self) -> int:
        """What requests hold in memory of bodies, both ways."""
        return self._admission.buffers.total

    def new_progress(self) -> Progress:
        """The pace that is asked of a client for one request."""
        return Progress(self._min_progress_timeout_s, self._min_progress_bytes)

    def begin_drain(self) -> None:
        """From now on, every answer closes its connection."""
        self.heads.is_closing = True

    async def wait_idle(self) -> None:
        """Until no request is in flight."""
        await self._idle.wait()

    async def handle(self, http: HttpRequest) -> bool:
        """Answers, whatever happens; returns whether the connection goes on."""
        progress = self.new_progress()
        ticket = self._admission.enter(http.remote)
        out = Responder(http, self.heads, progress, ticket)
        connection = http.connection
        self._busy.add(connection)
        self._idle.clear()
        started_s = self._clock.monotonic_s()
        try:
            await self._answer(http, out)
            if not http.content.is_eof():
                await out.settle_body()
        finally:
            if ticket is not None:
                ticket.leave()
            self._busy.discard(connection)
            if not self._busy:
                self._idle.set()
            self.accounts.ended(http, out, started_s)
        return out.keep_alive

    async def _answer(self, http: HttpRequest, out: Responder) -> None:
        raw = http.raw
        where: Route | None = None
        try:
            ticket = out.admitted()
            _check_framing(http, raw, out)
            where = out.where = route(raw, prefix=PREFIX, domains=self._domains)
            authenticator = self._services.authenticator
            known = authenticator.recognise(raw, virtual_bucket=where.virtual_bucket)
            identity = known if isinstance(known, Identity) else await authenticator.look_up(known)
            out.user = identity.caller.user
            if identity.claim is not None and not ticket.pass_to(identity.caller.user):
                raise S3Error("SlowDown")
            handler = handler_of(where.operation)
            check_headers(where.operation, raw.headers)
            request = S3Request(raw, where, identity, out, self._services)
            if EXPECTED_OWNER in raw.headers:
                await check_expected_owner(request)
            answer = await handler(request)
            if answer is not None:
                await out.send(answer)
        except S3Error as error:
            await self._refuse(error, raw, where, out)
        except ZerohopError as error:
            _note_failure(error, raw, out)
            await self._refuse(from_domain_error(error), raw, where, out)
        except (OSError, web.RequestPayloadError, asyncio.CancelledError) as error:
            # The client is gone or stalled, or we are: either way there is nobody to tell.
            _log.debug("request cut", extra={"request": out.request_id, "reason": repr(error)})
            out.abort()
            if isinstance(error, asyncio.CancelledError):
                raise
        except Exception:  # noqa: BLE001 - whatever happens, the client gets an answer
            _log.exception("request failed", extra={"request": out.request_id, "path": raw.path})
            await self._refuse(S3Error("InternalError"), raw, where, out)

    async def _refuse(self, error: S3Error, raw: RawRequest, where: Route | None, out: Responder) -> None:
        out.error_code = error.code
        if out.started:
            out.abort()
            return
        document = b""
        if error.status != 304:
            elements = {**error_elements(error.code, where), **error.elements}
            document = xml_out.error(
                error.code, error.message, _resource(raw, where), out.request_id, out.host_id, elements
            )
        try:
            await out.send(Answer(error.status, [XML, *error.headers.items()], document))
        except OSError:
            out.abort()


def _check_framing(http: HttpRequest, raw: RawRequest, out: Responder) -> None:
    try:
        check_framing(http.version, raw.headers)
    except S3Error:
        out.keep_alive = False
        raise


def error_elements(code: str, where: Route | None) -> dict[str, str]:
    """The elements that S3 adds to these errors to say what they are about."""
    if where is None:
        return {}
    if code in ("NoSuchBucket", "BucketAlreadyExists", "BucketAlreadyOwnedByYou", "BucketNotEmpty"):
        return {"BucketName": where.bucket}
    if code == "NoSuchKey":
        return {"Key": where.key}
    if code == "NoSuchVersion":
        return {"Key": where.key, "VersionId": where.query.get("versionId", "")}
    if code in ("NoSuchUpload", "InvalidPart"):
        return {"UploadId": where.query.get("uploadId", "")}
    return {}


def _resource(raw: RawRequest, where: Route | None) -> str:
    if where is None:
        return raw.path
    return f"/{where.bucket}/{where.key}" if where.key else f"/{where.bucket}"


def _note_failure(error: ZerohopError, raw: RawRequest, out: Responder) -> None:
    mapped = from_domain_error(error)
    if mapped.status >= 500:
        _log.warning(
            "request failed",
            extra={
                "request": out.request_id,
                "method": raw.method,
                "path": raw.path,
                "error": f"{error.code}: {error}",
                "started": out.started,
            },
        )
