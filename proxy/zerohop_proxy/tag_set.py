"""Tags of an object: as a header, as a document, and the rules that they keep to. Pure.

Source: S3 user guide, "Categorizing your storage using tags", and the API reference, PutObjectTagging.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.xml_out import document, element
from zerohop_proxy.xml_tree import Node, parse_xml

__all__ = ["TAGGING", "parse_tagging", "parse_tagging_header", "tagging"]

TAGGING: Final = "x-amz-tagging"
_MAX_TAGS: Final = 10
_MAX_KEY: Final = 128
_MAX_VALUE: Final = 256
_MAX_ELEMENTS: Final = 2 + 3 * 100
"""Some more than the ten tags that can be meant, so that too many of them are told as that."""
_PUNCTUATION: Final = frozenset("_.:/=+-@")
_SYSTEM: Final = "aws:"


def parse_tagging_header(headers: Mapping[str, str]) -> dict[str, str]:
    """`x-amz-tagging`: the tags as the query of a URL. Raises S3Error InvalidArgument, InvalidTag."""
    value = headers.get(TAGGING, "")
    try:
        pairs = [_pair(piece) for piece in value.split("&") if piece]
    except UnicodeError:
        raise _bad_header(value) from None
    if len(dict(pairs)) < len(pairs):
        raise _bad_header(value)
    return _checked(pairs)


def parse_tagging(body: bytes) -> dict[str, str]:
    """The body of PutObjectTagging. Raises S3Error MissingRequestBodyError, MalformedXML, InvalidTag."""
    if not body:
        raise S3Error("MissingRequestBodyError")
    root = parse_xml(body, "Tagging", max_elements=_MAX_ELEMENTS)
    if len(root.children) != 1 or root.children[0].tag != "TagSet":
        raise S3Error("MalformedXML")
    pairs = [_tag(node) for node in root.children[0].children]
    if len(dict(pairs)) < len(pairs):
        raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key")
    return _checked(pairs)


def tagging(tags: Mapping[str, str]) -> bytes:
    """The answer of GetObjectTagging."""
    rows = "".join(
        f"<Tag>{element('Key', key)}{element('Value', value)}</Tag>" for key, value in tags.items()
    )
    return document("Tagging", f"<TagSet>{rows}</TagSet>")


def _pair(piece: str) -> tuple[str, str]:
    name, _, value = piece.partition("=")
    return _decoded(name), _decoded(value)


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode()


def _tag(node: Node) -> tuple[str, str]:
    found = node.only("Key", "Value") if node.tag == "Tag" else {}
    if len(found) != 2:
        raise S3Error("MalformedXML")
    return found["Key"], found["Value"]


def _checked(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    tags = dict(pairs)
    if len(tags) > _MAX_TAGS:
        raise S3Error("InvalidTag", f"Object tags cannot be greater than {_MAX_TAGS}")
    for key, value in tags.items():
        if key.lower().startswith(_SYSTEM):
            raise S3Error("InvalidTag", "System tags cannot be added/updated by requester", TagKey=key)
        if not 1 <= len(key) <= _MAX_KEY or not _is_allowed(key):
            raise S3Error("InvalidTag", "The TagKey you have provided is invalid", TagKey=key)
        if len(value) > _MAX_VALUE or not _is_allowed(value):
            raise S3Error(
                "InvalidTag", "The TagValue you have provided is invalid", TagKey=key, TagValue=value
            )
    return tags


def _is_allowed(text: str) -> bool:
    """Letters, digits and spaces of any script, and a few signs."""
    return all(char in _PUNCTUATION or unicodedata.category(char)[0] in "LNZ" for char in text)


def _bad_header(value: str) -> S3Error:
    return S3Error(
        "InvalidArgument",
        f"The header '{TAGGING}' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name "
        "duplicates.",
        ArgumentName=TAGGING,
        ArgumentValue=value,
    )
