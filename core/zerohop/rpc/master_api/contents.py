"""Contents: which are persisted, live, or held by whom."""

from __future__ import annotations

from zerohop.model import Record, Segment
from zerohop.rpc.master_api.empty import Empty
from zerohop.rpc.message import Request

__all__ = [
    "AddHolders",
    "ContentStates",
    "GetContentStates",
    "ListUnpersisted",
    "MarkPersisted",
    "UnpersistedPage",
]


class MarkPersisted(Request[Empty], tag="mark_persisted", kw_only=True):
    """A worker has persisted contents of its own. Raises SessionFenced. Idempotent; unknown contents are skipped."""

    worker_id: str
    session: bytes
    contents: tuple[bytes, ...]


class AddHolders(Request[Empty], tag="add_holders", kw_only=True):
    """A worker has given copies of an unpersisted content to further workers. Raises SessionFenced. Idempotent; a
    content that is unknown or persisted is left as it is.
    """

    worker_id: str
    session: bytes
    content: bytes
    holders: tuple[str, ...]


class ContentStates(Record, frozen=True):
    """By content asked for: "live", "dead" or "unknown", in order."""

    states: tuple[str, ...]


class GetContentStates(Request[ContentStates], tag="get_content_states", kw_only=True):
    contents: tuple[bytes, ...]


class UnpersistedPage(Record, frozen=True):
    contents: tuple[Segment, ...]
    next_after: bytes  # b"" when this was the last page


class ListUnpersisted(Request[UnpersistedPage], tag="list_unpersisted", kw_only=True):
    """Contents that only this worker holds (index `q`): what it must persist after a restart."""

    worker_id: str
    after: bytes = b""
    limit: int = 1000
