"""Requests to an S3 store: one client, bounded in connections, with retries of our own in the one place here.

botocore's retries are off: they know neither which of our requests may be repeated nor that the reader behind one
has gone. Its checksums of requests are sent only where S3 demands them, since older stores refuse what they do not
know; those of responses are not checked, since most of our reads are of ranges, which have none.
"""

from __future__ import annotations

import asyncio
import os
import re
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore import exceptions as boto
from botocore.awsrequest import AWSPreparedRequest
from botocore.loaders import Loader, create_loader
from botocore.parsers import ResponseParserError

from zerohop.errors import InvalidRequest, OriginRefused, UnderStoreFailed, ZerohopError
from zerohop.heap import settle_more_objects
from zerohop_worker.origins.backoff import backoff_s
from zerohop_worker.origins.options import S3Settings
from zerohop_worker.origins.parts_in_flight import PARTS_AT_A_TIME
from zerohop_worker.origins.s3_connections import S3Session, let_lost_writes_go
from zerohop_worker.origins.s3_reads import ObjectAnswer, ObjectReads
from zerohop_worker.origins.s3_refusals import Refusal, is_not_done, is_passing

__all__ = ["CONNECTION_ERRORS", "Repeat", "S3Requests"]

_RESERVED_CONNECTIONS: Final = 16
"""For requests without a body, beyond those for bodies: a HEAD never waits for a stalled reader."""

_KEEP_CONNECTION_S: Final = 55
"""Without a request. A new one costs one round trip to the origin, with TLS three; balancers forget connections after a
minute, some without a word to us.
"""

_LEAST_BYTES_PER_S: Final = 64 << 10
"""That a body has to go out with. A store that takes no bytes, or never says `100 Continue`, would be waited for as
long as its connection stands, which may be for ever where its machine is gone.
"""

_MOST_CAUSES: Final = 16

CONNECTION_ERRORS: Final = (boto.BotoCoreError, aiohttp.ClientError, TimeoutError, OSError)

_NEVER_SENT: Final = (boto.EndpointConnectionError, boto.ConnectTimeoutError, boto.ProxyConnectionError)

R = TypeVar("R")


class _Asked(NamedTuple):
    """A request under way: headers of ours, and what botocore made of it each time that it sent it."""

    headers: Mapping[str, str]
    sent: list[AWSPreparedRequest]


_asked: ContextVar[_Asked | None] = ContextVar("asked", default=None)


class Repeat(Enum):
    """Which failures of a request allow to send it again."""

    ALWAYS = "always"  # it does the same twice as once
    NOT_DONE = "not done"  # only when it certainly was not carried out
    NEVER = "never"


class S3Requests:
    """The connections to one store. `call` may be used concurrently; `start` is implied by the first."""

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self.bodies = asyncio.Semaphore(settings.max_connections)
        self._questions = asyncio.Semaphore(_RESERVED_CONNECTIONS)
        self.parts = asyncio.Semaphore(PARTS_AT_A_TIME)  # of all uploads
        self._starting = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._credentials: Any = None
        self._http: Any = None
        self._reads: ObjectReads | None = None
        self._closed = False
        self.place = f"bucket {settings.bucket} at {settings.endpoint or 'Amazon S3'}"

    async def call(
        self,
        operation: str,
        params: Mapping[str, Any],
        what: str,
        repeat: Repeat = Repeat.ALWAYS,
        headers: Mapping[str, str] | None = None,
        has_body: bool = False,
    ) -> dict[str, Any]:
        """One operation of botocore's model, by its method's name. `headers` are sent as they are.

        With `has_body` the caller holds one of `bodies`. Raises Refusal (an answer that is an error, after the
        retries), OriginRefused, UnderStoreFailed, InvalidRequest; `what` completes "cannot ..." in them.
        """
        client = await self._started()

        async def send() -> dict[str, Any]:
            return await self._send(client, operation, params, _Asked(headers or {}, []))

        return await self._repeated(send, what, repeat, has_body=has_body)

    async def read_object(self, method: str, key: str, headers: Mapping[str, str], what: str) -> ObjectAnswer:
        """GET or HEAD of an object, by its whole key; `headers` are sent as they are. For a GET the caller holds one
        of `bodies`. Raises as `call` does.
        """
        client = await self._started()
        headers = {"x-amz-checksum-mode": "ENABLED", **headers}

        async def send() -> ObjectAnswer:
            return await self._read(client, method, key, headers)

        return await self._repeated(send, what, Repeat.ALWAYS, has_body=method == "GET")

    async def _repeated(
        self, send: Callable[[], Awaitable[R]], what: str, repeat: Repeat, *, has_body: bool
    ) -> R:
        for failures in range(1, self.settings.max_attempts + 1):
            self._check_open()
            last = failures == self.settings.max_attempts or repeat is Repeat.NEVER
            asked_s = 0.0
            try:
                if has_body:
                    return await send()
                async with self._questions:
                    return await send()
            except Refusal as refusal:
                asked_s = refusal.retry_after_s
                again = is_passing(refusal) if repeat is Repeat.ALWAYS else is_not_done(refusal)
                if last or not again:
                    raise
            except _NEVER_SENT as error:
                if last or not self._may_come_up(error):
                    raise self._translated(error, what) from error
            except (*CONNECTION_ERRORS, ValueError) as error:  # ValueError: a date, or a number, that is none
                if last or repeat is not Repeat.ALWAYS or not _is_passing(error):
                    raise self._translated(error, what) from error
            await asyncio.sleep(backoff_s(failures, asked_s))
        raise AssertionError("unreachable")

    async def _read(self, client: Any, method: str, key: str, headers: Mapping[str, str]) -> ObjectAnswer:
        if self._reads is not None:
            with self._refusing():
                answer = await self._reads.send(method, key, headers)
            if answer is not None:
                return answer
        asked = _Asked(headers, [])
        # Without the parameters for which botocore would check the body: a store may send with a range the checksum
        # of the whole.
        told = await self._send(client, f"{method.lower()}_object", {"Key": key}, asked)
        shape = client.meta.service_model.operation_model("GetObject").output_shape
        self._reads = ObjectReads.like(asked.sent[-1], key, self._credentials, self._http, shape)
        body = told["Body"].raw_stream if method == "GET" else None
        about = told["ResponseMetadata"]
        found = dict(about["HTTPHeaders"])
        if told.get("ExpiresString"):
            found["expires"] = told["ExpiresString"]  # which the client takes away where it is no date
        return ObjectAnswer(about["HTTPStatusCode"], found, body)

    async def _send(
        self, client: Any, operation: str, params: Mapping[str, Any], asked: _Asked
    ) -> dict[str, Any]:
        token = _asked.set(asked)
        try:
            with self._refusing():
                async with asyncio.timeout(self._limit_s(params)):
                    answer: dict[str, Any] = await getattr(client, operation)(
                        Bucket=self.settings.bucket, **params
                    )
        finally:
            _asked.reset(token)
        return answer

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except boto.ClientError as error:
            raise _refusal(error.response, self._hidden) from None
        except ResponseParserError:
            raise Refusal("NotS3", 400, "") from None

    def _limit_s(self, params: Mapping[str, Any]) -> float | None:
        """How long a request with a body may take; None: the library's time-outs do, which only begin with its end."""
        body = params.get("Body")
        return None if body is None else self.settings.read_timeout + len(body) / _LEAST_BYTES_PER_S

    @staticmethod
    def _may_come_up(error: Exception) -> bool:
        """A name that does not resolve, or a port where nobody listens, may do so in a moment: a store restarts."""
        return not isinstance(error, boto.ProxyConnectionError)

    def _translated(self, error: Exception, what: str) -> ZerohopError:
        _let_bodies_go(error)
        if isinstance(
            error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError
        ):
            return OriginRefused(
                f"cannot {what}: there are no credentials: set access_key and secret_key, profile, or anonymous"
            )
        if isinstance(error, boto.SSLError):
            return OriginRefused(f"cannot {what}: TLS with the endpoint fails: {self._hidden(str(error))}")
        if isinstance(error, boto.ParamValidationError | boto.UnsupportedTLSVersionWarning):
            return InvalidRequest(f"cannot {what}: {self._hidden(str(error))}")
        if isinstance(error, boto.ReadTimeoutError | TimeoutError):
            return UnderStoreFailed(f"cannot {what}: no byte for {self.settings.read_timeout:g} s")
        return UnderStoreFailed(f"cannot {what}: {self._hidden(_root_message(error))}")

    def body_error(self, error: Exception, what: str) -> ZerohopError:
        """The domain error for one that came while a body was read."""
        return self._translated(error, what)

    def _hidden(self, text: str) -> str:
        """Without any credentials, should a store have quoted them."""
        for value in (self.settings.access_key, self.settings.secret_key, self.settings.session_token):
            text = text.replace(value, "***") if value else text
        return text[:300]

    async def _started(self) -> Any:
        async with self._starting:
            self._check_open()
            if self._client is None:
                self._client = await self._start()
        return self._client

    def _check_open(self) -> None:
        """A mount that was changed has another store; connections that this one made would never be closed."""
        if self._closed:
            raise UnderStoreFailed(f"{self.place} was closed, since its mount was changed or removed")

    async def _start(self) -> Any:
        settings = self.settings
        try:
            session = AioSession(profile=settings.profile or None)
            loader = _model_loader(session.get_config_variable("data_path"))
            session.register_component("data_loader", loader)
            # Read from disk in a thread what would else block the loop for half a second.
            await asyncio.to_thread(loader.load_service_model, "s3", "service-2")
            client = await self._stack.enter_async_context(
                session.create_client(
                    "s3",
                    region_name=settings.region or session.get_config_variable("region") or "us-east-1",
                    endpoint_url=settings.endpoint or None,
                    verify=(settings.ca_file or True) if settings.verify_tls else False,
                    aws_access_key_id=settings.access_key or None,
                    aws_secret_access_key=settings.secret_key or None,
                    aws_session_token=settings.session_token or None,
                    config=_config(settings, self._session),
                )
            )
            if settings.access_key:
                token = settings.session_token or None
                self._credentials = AioCredentials(settings.access_key, settings.secret_key, token)
            else:
                self._credentials = await session.get_credentials()
        except (boto.BotoCoreError, ValueError, OSError) as error:
            raise OriginRefused(f"cannot open {self.place}: {self._hidden(str(error))}") from error
        settle_more_objects()
        client.meta.events.register("before-call.s3", _add_headers)
        client.meta.events.register("before-send.s3", _keep_request)
        let_lost_writes_go(asyncio.get_running_loop())
        return client

    def _session(self, **options: Any) -> AIOHTTPSession:
        """For botocore, and for requests past its client."""
        self._http = S3Session(**options)
        return self._http

    async def close(self) -> None:
        """Closes connections, for good."""
        self._closed = True
        async with self._starting:  # what is being started comes to the stack first
            self._client = self._reads = None
            await self._stack.aclose()


@lru_cache
def _model_loader(data_path: str | None) -> Loader:
    """The description of S3 that botocore works by, once for all mounts. The loader keeps what it has read; reading it
    takes a core 0.1 s, and the collector of cycles as long again.
    """
    return create_loader(data_path)


def _config(settings: S3Settings, session: Callable[..., AIOHTTPSession]) -> AioConfig:
    own_endpoint = settings.endpoint and "amazonaws.com" not in settings.endpoint
    path_style = bool(own_endpoint) if settings.path_style is None else settings.path_style
    return AioConfig(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        max_pool_connections=settings.max_connections + _RESERVED_CONNECTIONS,
        connector_args={"keepalive_timeout": _KEEP_CONNECTION_S},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if path_style else "auto"},
        user_agent_appid="zerohop",
        http_session_cls=session,
        **({"signature_version": UNSIGNED} if settings.anonymous else {}),
    )


def _add_headers(params: dict[str, Any], **_: Any) -> None:
    asked = _asked.get()
    if asked is not None:
        params["headers"].update(asked.headers)


def _keep_request(request: AWSPreparedRequest, **_: Any) -> None:
    asked = _asked.get()
    if asked is not None:
        asked.sent.append(request)


def _refusal(answer: Mapping[str, Any], hidden: Any) -> Refusal:
    told = answer.get("Error", {})
    about = answer.get("ResponseMetadata", {})
    status = int(about.get("HTTPStatusCode", 0))
    after = about.get("HTTPHeaders", {}).get("retry-after", "")
    return Refusal(
        str(told.get("Code", status)),
        status,
        hidden(str(told.get("Message", ""))),
        float(after) if after.isascii() and after.isdigit() else 0.0,
    )


def _let_bodies_go(error: BaseException | None) -> None:
    """The frames of the library that failed hold the body that it sent, and lie in cycles with its tasks and
    time-outs: they would hold it until the next full collection, 16 MiB for each part that failed.
    """
    for _ in range(_MOST_CAUSES):
        if error is None:
            return
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _is_passing(error: Exception) -> bool:
    return isinstance(error, boto.HTTPClientError | aiohttp.ClientError | OSError) and not isinstance(
        error, boto.SSLError
    )


def _root_message(error: Exception) -> str:
    """The message, with that of the operating system where there is one: "Connection refused" helps more than
    "could not connect".
    """
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.errno:
            told = os.strerror(inner.errno) if inner.errno > 0 else str(inner.strerror)
            return f"{_without_query(error)}: {told}"
        inner = inner.__cause__ or inner.__context__
    return _without_query(error) or type(error).__name__


def _without_query(error: Exception) -> str:
    """The URLs in botocore's messages are long, and may be signed."""
    return re.sub(r"\?[^\s\"']*", "", str(error))
