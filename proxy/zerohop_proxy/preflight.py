"""CORS preflight requests: no bucket has a CORS configuration, and S3 says so to browsers."""

from __future__ import annotations

from zerohop_proxy.answer import Answer
from zerohop_proxy.request import S3Request
from zerohop_proxy.s3_errors import S3Error

__all__ = ["options_object"]


async def options_object(request: S3Request) -> Answer:
    """OptionsObject. Raises S3Error BadRequest for what is no preflight, else AccessForbidden."""
    if "origin" not in request.headers:
        raise S3Error("BadRequest", "Insufficient information. Origin request header needed.")
    method = request.headers.get("access-control-request-method", "")
    if not method:
        raise S3Error("BadRequest", "Invalid Access-Control-Request-Method: null")
    raise S3Error(
        "AccessForbidden",
        "CORSResponse: CORS is not enabled for this bucket.",
        Method=method,
        ResourceType="OBJECT" if request.key else "BUCKET",
    )
