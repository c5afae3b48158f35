"""Objects of Azure and GCS as obstore has them, and as we do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from zerohop.errors import InvalidRequest, NotSupported, PreconditionFailed
from zerohop_worker.origins.interface import Attributes, OriginObject, Validator, WriteCondition

__all__ = [
    "attributes_for",
    "failed_condition",
    "is_path",
    "listed_object",
    "matches",
    "object_of",
    "refuse_odd",
]

_HEADERS: Final = {
    "Cache-Control": "cache-control",
    "Content-Disposition": "content-disposition",
    "Content-Encoding": "content-encoding",
    "Content-Language": "content-language",
    "Content-Type": "content-type",
}
_STORAGE_CLASS: Final = "Storage-Class"


def is_path(key: str) -> bool:
    """Whether obstore can name the key."""
    return bool(key) and not {"", ".", ".."}.intersection(key.split("/"))


def refuse_odd(key: str) -> None:
    """Raises InvalidRequest for a key that obstore cannot name."""
    if not is_path(key):
        raise InvalidRequest(
            f"a mount of Azure or Google Cloud Storage cannot hold the key {key!r}: "
            "its library takes no '//', no '/' at either end, and no part that is '.' or '..'"
        )


def matches(found: Validator, expected: Validator) -> bool:
    """Whether the bytes of the object found are those that were expected."""
    if expected.etag:
        return found.etag == expected.etag
    return found == expected


def failed_condition(key: str, condition: WriteCondition) -> PreconditionFailed:
    """The error for a write whose condition does not hold."""
    name = "If-None-Match" if condition.only_if_absent else "If-Match"
    return PreconditionFailed(f"{key} at the origin is not as {name} wants it", condition=name)


def object_of(key: str, result: Any) -> OriginObject:
    """Of obstore's `GetResult`."""
    told = result.attributes
    headers = {name: str(told[field]) for field, name in _HEADERS.items() if told.get(field)}
    metadata = {
        name.lower(): str(value)
        for name, value in told.items()
        if name not in _HEADERS and name != _STORAGE_CLASS
    }
    attributes = Attributes(headers, metadata, str(told.get(_STORAGE_CLASS) or ""))
    return listed_object(key, result.meta)._replace(attributes=attributes)


def listed_object(key: str, meta: Mapping[str, Any]) -> OriginObject:
    """Of obstore's `ObjectMeta`."""
    etag = str(meta["e_tag"] or "").strip('"')
    validator = Validator(etag, int(meta["size"]), round(meta["last_modified"].timestamp() * 1000))
    # Azure's ETag tells versions, not contents; Google's is opaque. Clients get something in the form of S3's.
    bound = f"{validator.etag} {validator.size_bytes} {'' if etag else validator.modified_ms}".encode()
    return OriginObject(
        key=key,
        validator=validator,
        client_etag=hashlib.md5(bound, usedforsecurity=False).hexdigest() + "-1",
        attributes=Attributes({}, {}),
        version_id=str(meta["version"] or ""),
    )


def attributes_for(attributes: Attributes, azure: bool) -> tuple[dict[str, str], dict[str, str] | None]:
    """What obstore's `put` takes: attributes, and tags. Raises InvalidRequest for names that Azure cannot hold, and
    NotSupported for tags in Google's storage, where the library would forget them.
    """
    if attributes.tags and not azure:
        raise NotSupported("Google Cloud Storage has no place for tags")
    told = {field: attributes.headers[name] for field, name in _HEADERS.items() if name in attributes.headers}
    for name, value in attributes.metadata.items():
        if azure and not name.replace("-", "_").isidentifier():
            raise InvalidRequest(f"Azure cannot hold metadata of the name {name!r}")
        told[name] = value
    return told, dict(attributes.tags) or None
