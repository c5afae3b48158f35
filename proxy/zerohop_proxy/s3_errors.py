"""S3 error answers: codes, statuses, AWS's wording, and the mapping from domain errors.

Source: S3 API reference, "Error responses", list of error codes.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["S3Error", "from_domain_error"]


class S3Error(Exception):
    """An error that is answered to the client as S3 gives it.

    `elements` are further elements of the XML (BucketName, ArgumentName, ...); `headers` go with the answer.
    """

    def __init__(
        self, code: str, message: str | None = None, *, headers: Mapping[str, str] | None = None, **elements: str
    ) -> None:
        self.code = code
        self.status: int = 500
        self.message: str = message or ""
        self.elements = elements
        self.headers = dict(headers or {})
        super().__init__(f"{code}: {self.message}")


def from_domain_error(error: Exception) -> S3Error:
    """The S3 answer to a domain error (`zerohop.errors`); the most derived mapped class decides."""
    raise NotImplementedError
