"""Parser of small, hostile XML documents into a plain tree.

Built on defusedxml, which refuses document types and entities. A tree of its own, because the depth and the
number of elements must be bounded while parsing, not after.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from zerohop_proxy.s3_errors import S3Error

__all__ = ["MAX_BODY_BYTES", "Node", "parse_xml"]

MAX_BODY_BYTES = 8 * 1024**2
"""Room for 10,000 parts with every checksum, and for 1000 keys of 1024 bytes each all escaped."""

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_MAX_DEPTH = 8  # the deepest body that we parse has 4 levels


@dataclass(slots=True)
class Node:
    """One element; `tag` without its namespace, `text` all of its own character data."""

    tag: str
    children: list[Node] = field(default_factory=list)
    text: str = ""

    def only(self, *allowed: str) -> dict[str, str]:
        """Text of the children, which must be leaves, each named at most once and one of `allowed`."""
        found: dict[str, str] = {}
        for child in self.children:
            if child.tag not in allowed or child.tag in found or child.children:
                raise S3Error("MalformedXML")
            found[child.tag] = child.text
        return found


class _Builder:
    """Target of the parser."""

    def __init__(self, max_elements: int) -> None:
        self._max_elements = max_elements
        self._stack: list[tuple[Node, list[str]]] = []
        self._elements = 0
        self._root: Node | None = None

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        self._elements += 1
        if len(self._stack) >= _MAX_DEPTH or self._elements > self._max_elements:
            raise S3Error("MalformedXML")
        node = Node(tag.rpartition("}")[2])
        if self._stack:
            self._stack[-1][0].children.append(node)
        else:
            self._root = node
        self._stack.append((node, []))

    def data(self, text: str) -> None:
        if self._stack:
            self._stack[-1][1].append(text)

    def end(self, _tag: str) -> None:
        node, pieces = self._stack.pop()
        node.text = "".join(pieces)

    def close(self) -> Node:
        if self._root is None:
            raise S3Error("MalformedXML")
        return self._root


def parse_xml(body: bytes, root_tag: str, *, max_elements: int = 100) -> Node:
    """The tree of `body`, whose root must be `root_tag`; raises `S3Error` MalformedXML, MaxMessageLengthExceeded."""
    if len(body) > MAX_BODY_BYTES:
        raise S3Error("MaxMessageLengthExceeded", MaxMessageLengthBytes=str(MAX_BODY_BYTES))
    builder = _Builder(max_elements)
    # A declared encoding is overridden: expat would ask Python for a codec of any name that a client writes.
    encoding = "utf-16" if body.startswith(_UTF16_MARKS) else "utf-8"
    try:
        parser = DefusedXMLParser(
            target=builder, encoding=encoding, forbid_dtd=True, forbid_entities=True, forbid_external=True
        )
        parser.feed(body)
        parser.close()
    except (ParseError, DefusedXmlException, LookupError, ValueError):
        raise S3Error("MalformedXML") from None
    root = builder.close()
    if root.tag != root_tag:
        raise S3Error("MalformedXML")
    return root
