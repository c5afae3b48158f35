"""All hostile exchanges, by category."""

from __future__ import annotations

from typing import Final

from tests.hostile.case import Case
from tests.hostile.chunk_framing import CHUNK_FRAMING
from tests.hostile.credentials import CREDENTIALS
from tests.hostile.cut_short import CUT_SHORT, STALLED
from tests.hostile.documents import DOCUMENTS
from tests.hostile.header_fields import HEADER_FIELDS
from tests.hostile.parameters import PARAMETERS
from tests.hostile.request_lines import REQUEST_LINES, TARGETS
from tests.hostile.smuggling import SMUGGLING

__all__ = ["CORPUS", "STALLED"]

CORPUS: Final[dict[str, list[Case]]] = {
    "request lines": REQUEST_LINES,
    "targets": TARGETS,
    "header fields": HEADER_FIELDS,
    "smuggling": SMUGGLING,
    "documents": DOCUMENTS,
    "chunk framing": CHUNK_FRAMING,
    "parameters": PARAMETERS,
    "credentials": CREDENTIALS,
    "cut short": CUT_SHORT,
}
