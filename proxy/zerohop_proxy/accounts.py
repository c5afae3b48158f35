"""What is kept of each request that has ended: numbers, a line in the access log, and a warning if it was slow."""

from __future__ import annotations

import logging
import math
from typing import Final

from zerohop.clock import Clock
from zerohop_proxy.access_log import AccessLog, AccessRecord
from zerohop_proxy.http_request import HttpRequest
from zerohop_proxy.request_numbers import NO_OPERATION, RequestNumbers
from zerohop_proxy.responder import Responder
from zerohop_proxy.routing import Route
from zerohop_proxy.s3_errors import S3Error

__all__ = ["Accounts"]

_slow_log: Final = logging.getLogger("zerohop.slow")


class Accounts:
    """Those of one process. On the way of every request: additions only, as a rule."""

    def __init__(self, clock: Clock, *, access_log: AccessLog | None, slow_request_s: float) -> None:
        """`slow_request_s` 0: none is slow."""
        self.numbers = RequestNumbers()
        self._clock = clock
        self._access_log = access_log
        self._slow_s = slow_request_s or math.inf

    def ended(self, http: HttpRequest, out: Responder, started_s: float) -> None:
        """A request that went the long way; times are on the monotonic clock."""
        total_s = self._clock.monotonic_s() - started_s
        numbers = self.numbers[NO_OPERATION if out.where is None else out.where.operation._value_]
        numbers.ended(out.status, total_s, out.first_byte_s - started_s)
        numbers.bytes_in += http.content.total_bytes
        numbers.bytes_out += out.sent_bytes
        if out.source:
            self.numbers.sources[out.source] += 1
        if total_s >= self._slow_s or self._access_log is not None:
            record = AccessRecord(
                time_s=self._clock.now_s(),
                request=out.request_id,
                remote=http.remote,
                operation=NO_OPERATION if out.where is None else out.where.operation.value,
                bucket="" if out.where is None else out.where.bucket,
                key="" if out.where is None else out.where.key,
                status=out.status,
                error=out.error_code,
                bytes_in=http.content.total_bytes,
                bytes_out=out.sent_bytes,
                first_byte_s=out.first_byte_s - started_s if out.started else 0.0,
                total_s=total_s,
                source=out.source,
                user=out.user,
            )
            self._write(record)

    def ended_at_once(
        self,
        remote: str,
        where: Route,
        request_id: str,
        user: str,
        source: str,
        sent_bytes: int,
        started_s: float,
    ) -> None:
        """A read that was answered with 200 as it came (`hot_reads`)."""
        total_s = self._clock.monotonic_s() - started_s
        numbers = self.numbers[where.operation._value_]
        numbers.ended(200, total_s, total_s)
        numbers.bytes_out += sent_bytes
        if source:
            self.numbers.sources[source] += 1
        if total_s >= self._slow_s or self._access_log is not None:
            record = AccessRecord(
                time_s=self._clock.now_s(),
                request=request_id,
                remote=remote,
                operation=where.operation.value,
                bucket=where.bucket,
                key=where.key,
                status=200,
                bytes_out=sent_bytes,
                first_byte_s=total_s,
                total_s=total_s,
                source=source,
                user=user,
            )
            self._write(record)

    def unparsed(self, remote: str, request_id: str, error: S3Error) -> None:
        """A request that could not be parsed was refused before it was one."""
        self.numbers[NO_OPERATION].ended(error.status, 0.0, 0.0)
        if self._access_log is None:
            return
        self._access_log.write(
            AccessRecord(
                time_s=self._clock.now_s(),
                request=request_id,
                remote=remote,
                operation=NO_OPERATION,
                status=error.status,
                error=error.code,
            )
        )

    def _write(self, record: AccessRecord) -> None:
        if record.total_s >= self._slow_s:
            self.numbers.slow += 1
            _slow_log.warning("slow request", extra=record.text_facts())
        if self._access_log is not None:
            self._access_log.write(record)
