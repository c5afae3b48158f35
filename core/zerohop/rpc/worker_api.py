"""What proxies, clients and the master may ask of a worker, on its RPC sockets and on its descriptor socket.

A content is immutable; `length` is its size in bytes and its id says how it is cut in blocks, so that a worker
which never saw a content can fetch any block of it from the under-store.
"""

from __future__ import annotations

from zerohop.model import OriginRef, Record, Segment, TierUse, WritePolicy
from zerohop.rpc.master_api import Empty
from zerohop.rpc.message import Request

# -------------------------------------------------------------------------------------------------- writes


class ContentWritten(Record, frozen=True):
    """The content is held as the policy asks. `persisted`: it is in the under-store, durably."""

    content: bytes
    length: int
    worker_id: str
    session: bytes
    persisted: bool
    # The one that was carried out: `async_through` becomes `through` when space or holders run short.
    policy: WritePolicy
    # All workers that hold it, the writer first; () when it is persisted, or held by the writer alone.
    holders: tuple[str, ...] = ()


class WriteContent(Request[ContentWritten], tag="write_content", kw_only=True):
    """Stream in: the bytes follow. `expected_bytes` is the announced length, or -1 when it is not known.

    A stream that is cut leaves nothing. The content stays the worker's own (and is deleted by the sweep) until a
    commit of the master names it. Raises OutOfSpace, UnderStoreFailed, BodyTooShort.
    """

    policy: WritePolicy
    expected_bytes: int = -1


class DiscardContents(Request[Empty], tag="discard_contents", kw_only=True):
    """The writer will not commit these contents of this worker's session: they may be deleted at once.

    Only for contents whose commit was never sent, or was refused for certain.
    """

    contents: tuple[bytes, ...]


class ReplicaHeld(Record, frozen=True):
    """The workers that hold the content on disk now, in the order of the chain."""

    holders: tuple[str, ...]


class ReplicateContent(Request[ReplicaHeld], tag="replicate_content", kw_only=True):
    """Stream in, worker to worker: hold a copy of an `async_through` content, and pass it on along `chain`.

    `first` is the worker that took it from its writer and brings it to the under-store; who holds a copy does that
    in its place when it is lost. The stream is pieces with their checksums (`zerohop_worker.checked_stream`). Answered
    when all of the chain have it on disk. Raises OutOfSpace, BodyTooShort, Corrupt, and what the next of the chain
    raises: then nothing of it stays here.
    """

    content: bytes
    first: str
    chain: tuple[str, ...] = ()
    expected_bytes: int = -1


class ReleaseReplicas(Request[Empty], tag="release_replicas", kw_only=True):
    """Worker to worker: these copies are no longer needed. The under-store has the contents; or, with `void`, no
    commit will name them. At most 10,000 a call; unknown ones are skipped.
    """

    contents: tuple[bytes, ...]
    void: bool = False


# --------------------------------------------------------------------------------------------------- reads


class ReadStarted(Record, frozen=True):
    """Head of a stream out: `length` bytes follow. `source` of the first block: "MEM", "SSD", "HDD", "PEER" (another
    worker's cache) or "UNDER".
    """

    length: int
    source: str


class ReadContent(Request[ReadStarted], tag="read_content", kw_only=True):
    """Stream out: bytes [offset, offset + length) of a content of `content_length` bytes.

    `cache`: keep what had to be fetched. `for_worker`: a worker asks, that misses the block: what is missing here
    too comes from the under-store, not from yet another worker, and the stream is pieces with their checksums
    (`zerohop_worker.checked_stream`). Raises ContentNotFound, ContentLost, UnderStoreFailed.
    """

    content: bytes
    content_length: int
    offset: int
    length: int
    cache: bool = True
    for_worker: bool = False
    origin: OriginRef | None = None  # of a mounted content, and only of one
    promote: bool = False  # blocks found on disk get a copy in memory at once
    more_bytes: int = 0  # of a mounted content: the reader is going to ask for so many after these


class BlockHandle(Record, frozen=True):
    """A block whose descriptor came with the response, in the order of the descriptors."""

    index: int
    length: int
    source: str  # tier it is in now; "UNDER" if it was fetched for this request
    tier: str = ""  # tier it is in now, in any case


class BlocksOpened(Record, frozen=True):
    blocks: tuple[BlockHandle, ...]


class OpenBlocks(Request[BlocksOpened], tag="open_blocks", kw_only=True):
    """Descriptor socket: read-only descriptors of blocks [first_index, first_index + count) of a content.

    May return fewer than asked, at least one. A block that is not cached is fetched from the under-store first
    (one fetch for any number of askers). Raises ContentNotFound, ContentLost, OutOfSpace (read it by ReadContent,
    which needs no room), UnderStoreFailed; BlockNotFound for a block of a mounted content that is not cached, since
    reading it as a stream begins sooner than its fetch ends.
    """

    content: bytes
    content_length: int
    first_index: int
    count: int = 1


class BlockUse(Record, frozen=True):
    """Notification, holder to worker: which blocks were read from descriptors since the last one, and which
    descriptors were closed. Blocks are (content, index).
    """

    used: tuple[tuple[bytes, int], ...] = ()
    closed: tuple[tuple[bytes, int], ...] = ()


class ReturnBlocks(Record, frozen=True):
    """Notification, worker to holder: please close these descriptors, their bytes are wanted back."""

    blocks: tuple[tuple[bytes, int], ...]


# ----------------------------------------------------------------------------------------- administration


class DeleteContents(Request[Empty], tag="delete_contents", kw_only=True):
    """Master only: the contents are dead. Drops their blocks; `under_store`: deletes them there as well."""

    contents: tuple[bytes, ...]
    under_store: bool


class CachedBytes(Record, frozen=True):
    cached: tuple[int, ...]


class GetCachedBytes(Request[CachedBytes], tag="get_cached_bytes", kw_only=True):
    """How many bytes of each content this worker has in its tiers, in order. At most 10,000 contents a call."""

    contents: tuple[Segment, ...]


class ContentPage(Record, frozen=True):
    """Contents in the under-store: their ids; `settled` is false for those that a writer of this session holds."""

    contents: tuple[bytes, ...]
    next_after: bytes  # b"" when this was the last page


class ListContents(Request[ContentPage], tag="list_contents", kw_only=True):
    """Master's sweep: contents in the under-store (and unpersisted ones in the tiers of this worker) in the order
    of their ids, older than `older_than_s`, without those that writers of this worker hold open.
    """

    after: bytes = b""
    older_than_s: float
    limit: int = 1000


class PinContents(Request[Empty], tag="pin_contents", kw_only=True):
    """Keeps blocks of these contents from eviction (or releases them), until the worker restarts. `workers`: how many
    have been asked to, and share the blocks. Raises OutOfSpace above their share of the cache.
    """

    contents: tuple[Segment, ...]
    pinned: bool
    workers: int = 1


class WorkerReport(Record, frozen=True):
    worker_id: str
    version: str
    started_ms: int
    tiers: tuple[TierUse, ...]
    hits: dict[str, int]  # by source
    evictions: int
    corrupt_blocks: int
    unpersisted_contents: int


class GetWorkerReport(Request[WorkerReport], tag="get_worker_report", kw_only=True):
    """State of the worker, for reports and tests."""
