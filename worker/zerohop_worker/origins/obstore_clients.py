"""Clients of obstore for the settings of a mount, and what its errors mean."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

from obstore import exceptions
from obstore.store import AzureStore, GCSStore

from zerohop.errors import InvalidRequest, OriginRefused, UnderStoreFailed, ZerohopError
from zerohop_worker.origins.options import AzureSettings, GcsSettings

__all__ = ["open_store", "store_error"]

_URL: Final = re.compile(r"(https?://[^\s?]+)\?\S+")
_STATUS: Final = re.compile(r"\bstatus(?: code)?:? (4[0-9][0-9])\b")
"""Nothing less: the text also tells how long a request took, as in "496.2ms"."""
_CODE: Final = re.compile(r"<Code>([A-Za-z]+)</Code>")
_WORTH_SHOWING: Final = 300


def open_store(settings: GcsSettings | AzureSettings) -> AzureStore | GCSStore:
    """Raises OriginRefused when the options do not make a client."""
    client: Any = {
        "allow_http": settings.endpoint.startswith("http://"),
        "allow_invalid_certificates": not settings.verify_tls,
        "connect_timeout": timedelta(seconds=settings.connect_timeout),
        "read_timeout": timedelta(seconds=settings.read_timeout),
        # The whole of a request is not bounded: a reader takes the time that it takes.
        "timeout": timedelta(days=7),
        "user_agent": "zerohop",
    }
    retries: Any = {
        "max_retries": settings.max_attempts - 1,
        "retry_timeout": timedelta(seconds=30),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=5),
            "base": 2,
        },
    }
    try:
        if settings.ca_file:
            client["root_certificate"] = Path(settings.ca_file).read_text()
        if isinstance(settings, AzureSettings):
            return AzureStore(config=_azure(settings), client_options=client, retry_config=retries)
        return GCSStore(config=_gcs(settings), client_options=client, retry_config=retries)
    except (exceptions.BaseError, ValueError, OSError) as error:
        raise OriginRefused(f"cannot open {settings.bucket}: {_told(error)}") from None


def _azure(settings: AzureSettings) -> Any:
    config: dict[str, Any] = {
        "container_name": settings.bucket,
        "account_name": settings.account,
        "account_key": settings.account_key,
        "sas_key": settings.sas,
        "tenant_id": settings.tenant_id,
        "client_id": settings.client_id,
        "client_secret": settings.client_secret,
        "token": settings.token,
        "endpoint": settings.endpoint,
    }
    given = {name: value for name, value in config.items() if value}
    return cast("Any", given | ({"skip_signature": True} if settings.anonymous else {}))


def _gcs(settings: GcsSettings) -> Any:
    config: dict[str, Any] = {
        "bucket": settings.bucket,
        "service_account": settings.service_account_file,
        "service_account_key": settings.service_account,
        "bearer_token": settings.token,
        "base_url": settings.endpoint,
    }
    given = {name: value for name, value in config.items() if value}
    return cast("Any", given | ({"skip_signature": True} if settings.anonymous else {}))


def store_error(error: Exception, what: str) -> ZerohopError:
    """`what` was tried, as in "read a/b". obstore has few classes of errors: the text says the rest."""
    told = _told(error)
    if isinstance(error, exceptions.UnauthenticatedError | exceptions.PermissionDeniedError):
        return OriginRefused(f"cannot {what}: the credentials are wrong, or may not do that: {told}")
    if isinstance(error, FileNotFoundError):
        return OriginRefused(f"cannot {what}: there is no such bucket, container or account: {told}")
    status = _STATUS.search(told)
    if status is not None and status[1] == "400":
        return InvalidRequest(f"cannot {what}: the origin does not accept it: {told}")
    if status is not None and status[1] not in ("408", "409", "416", "429"):
        return OriginRefused(f"cannot {what}: {told}")
    return UnderStoreFailed(f"cannot {what}: {told}")


def _told(error: Exception) -> str:
    """The first line, without the queries of URLs: those may hold a signature; and the code that the store gave."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    code = _CODE.search(str(error))
    return _URL.sub(r"\1", lines[0])[:_WORTH_SHOWING] + (f" [{code[1]}]" if code else "")
