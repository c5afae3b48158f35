"""The keys of the metadata store: one letter for the family, then big-endian parts, so that byte order is row order.

    b name                        bucket
    o bid key                     current version of an object
    v bid esc(key) ~sequence      older versions and delete markers (the layout is fixed; no row is written yet)
    u bid esc(key) tail(upload)   upload that is open or completing
    e upload                      ended upload: its result, kept for replay
    p upload number               part of an upload
    s upload offset index         manifest: segments from this byte and part on
    y id                          inline data of one object version
    d content                     state of a content or of a manifest
    k content owner               reference to it
    g time content                delayed deletion, due a grace period after `time`
    t time kind id                background work that is due at `time`
    x mutation                    result of a mutation, for replay
    q esc(worker) content         copy that is not persisted yet
    n worker                      registration of a worker
    mi mount                      mount: what it shows, and its sealed secrets
    mg mount                      generation: its version changes with each write in the mount
    w bid key                     local object of a mounted bucket: what is still to be done about it
    jr job                        job: what it is to do, how far it is
    jf job                        the latest objects that a job failed at
    r bid kind key                rule for a key, or for all below a prefix: pins, times to live, numbers of copies
    i ...                         users: `in` name, `ia` access key, `ic` canonical id, `ig` generation
    f store                       facts of the whole store: format, under-store
    l name                        leases (written by the engine)

`esc` ends by itself and keeps the order: a NUL becomes 00 FF, and 00 80 ends the text. Both, and the `tail` behind
them, are made of bytes that start no UTF-8 character and so are never taken for a part of a listing's delimiter.
"""

from __future__ import annotations

from typing import Final

from zerohop_master.kv.interface import next_prefix

__all__ = [
    "BUCKETS",
    "DELETIONS",
    "DUE_WORK",
    "JOBS",
    "LOCAL_OBJECTS",
    "MOUNTS",
    "MUTATIONS",
    "NODES",
    "RULES",
    "STORE_FACTS",
    "USERS_BY_NAME",
    "USERS_GENERATION",
    "WATCHED",
    "bucket",
    "content_of_deletion",
    "content_of_unpersisted",
    "content_state",
    "deletion",
    "due_work",
    "ended_upload",
    "escape",
    "escaped_text",
    "first_index_of",
    "inline_data",
    "is_part_owner",
    "job",
    "job_failures",
    "key_of_local_object",
    "local_object",
    "local_objects",
    "manifest_rows",
    "mount",
    "mount_generation",
    "mutation",
    "node",
    "object_of_owner",
    "object_owner",
    "object_row",
    "objects",
    "part",
    "part_owner",
    "parts",
    "reference",
    "references",
    "rule",
    "rules_of",
    "segments",
    "span",
    "text_of",
    "text_of_local",
    "unescape",
    "unpersisted",
    "unpersisted_of",
    "upload",
    "upload_id_of",
    "upload_of_part_owner",
    "uploads",
    "user_by_access_key",
    "user_by_canonical_id",
    "user_by_name",
]

BUCKETS: Final = b"b"
NODES: Final = b"n"
DELETIONS: Final = b"g"
DUE_WORK: Final = b"t"
MUTATIONS: Final = b"x"
MOUNTS: Final = b"mi"
LOCAL_OBJECTS: Final = b"w"
JOBS: Final = b"jr"
RULES: Final = b"r"
USERS_BY_NAME: Final = b"in"
USERS_GENERATION: Final = b"ig"
STORE_FACTS: Final = b"fstore"
WATCHED: Final = b"boim"
"""First bytes of the rows that decide what a lookup answers: buckets, objects, users and mounts."""

_END: Final = b"\x00\x80"
_TAIL_CHARACTERS: Final = -(-16 * 8 // 6)


def span(prefix: bytes) -> tuple[bytes, bytes]:
    """The range [start, end) of all keys that start with `prefix`."""
    return prefix, next_prefix(prefix)


# ------------------------------------------------------------------------------------------------- escaping


def escaped_text(text: str) -> bytes:
    """UTF-8 with each NUL as 00 FF, without an end: what the escaped form of any longer text starts with."""
    return text.encode().replace(b"\x00", b"\x00\xff")


def escape(text: str) -> bytes:
    """UTF-8 that ends by itself: what follows it in a key can not change the order of the texts."""
    return escaped_text(text) + _END


def unescape(data: bytes) -> tuple[str, bytes]:
    """The text that `data` starts with, and what follows its end. Raises ValueError when it does not end."""
    position = data.find(_END)
    if position < 0:
        raise ValueError(f"no end of an escaped text in {data!r}")
    return text_of(data[:position]), data[position + len(_END) :]


def text_of(escaped: bytes) -> str:
    """The inverse of `escaped_text`."""
    return escaped.replace(b"\x00\xff", b"\x00").decode()


def _tail(value: bytes) -> bytes:
    """16 bytes as 22 of 0x80 to 0xBF, in the same order."""
    number = int.from_bytes(value, "big") << 4
    return bytes(0x80 | number >> shift & 0x3F for shift in range(6 * (_TAIL_CHARACTERS - 1), -1, -6))


def _untail(tail: bytes) -> bytes:
    number = 0
    for byte in tail:
        number = number << 6 | byte & 0x3F
    return (number >> 4).to_bytes(16, "big")


# ------------------------------------------------------------------------------------- buckets and objects


def bucket(name: str) -> bytes:
    return BUCKETS + name.encode()


def objects(bucket_id: bytes) -> bytes:
    """Prefix of all current versions of a bucket (9 bytes); the rest of each key is the object's key in UTF-8."""
    return b"o" + bucket_id


def object_row(bucket_id: bytes, key: str) -> bytes:
    return b"o" + bucket_id + key.encode()


def inline_data(inline_id: bytes) -> bytes:
    return b"y" + inline_id


# ------------------------------------------------------------------------------------------------- uploads


def uploads(bucket_id: bytes) -> bytes:
    """Prefix of all uploads of a bucket that are not ended."""
    return b"u" + bucket_id


def upload(bucket_id: bytes, key: str, upload_id: bytes) -> bytes:
    return b"u" + bucket_id + escape(key) + _tail(upload_id)


def upload_id_of(row_key: bytes) -> bytes:
    """The upload id in the key of an upload row."""
    return _untail(row_key[-_TAIL_CHARACTERS:])


def ended_upload(upload_id: bytes) -> bytes:
    return b"e" + upload_id


def parts(upload_id: bytes) -> bytes:
    """Prefix of all parts of an upload."""
    return b"p" + upload_id


def part(upload_id: bytes, number: int) -> bytes:
    return b"p" + upload_id + number.to_bytes(4, "big")


def manifest_rows(manifest: bytes) -> bytes:
    """Prefix of all rows of a manifest."""
    return b"s" + manifest


def segments(manifest: bytes, first_offset: int, first_index: int) -> bytes:
    """The index tells rows apart that start at one offset, because the parts of the first are all empty."""
    return b"s" + manifest + first_offset.to_bytes(8, "big") + first_index.to_bytes(4, "big")


def first_index_of(row_key: bytes) -> int:
    """How many segments stand before those of this row of a manifest."""
    return int.from_bytes(row_key[-4:], "big")


# ------------------------------------------------------------------------------------------------ contents


def content_state(content: bytes) -> bytes:
    return b"d" + content


def references(content: bytes) -> bytes:
    """Prefix of all references to a content."""
    return b"k" + content


def reference(content: bytes, owner: bytes) -> bytes:
    return b"k" + content + owner


def object_owner(bucket_id: bytes, key: str, sequence: int) -> bytes:
    """An object version as the owner of a reference."""
    return b"o" + bucket_id + escape(key) + sequence.to_bytes(8, "big")


def part_owner(upload_id: bytes, number: int) -> bytes:
    """A part as the owner of a reference: of an upload, and later of the manifest that the upload became."""
    return b"p" + upload_id + number.to_bytes(4, "big")


def object_of_owner(owner: bytes) -> tuple[bytes, str]:
    """Bucket id and key of an owner that is an object version."""
    return owner[1:9], unescape(owner[9:])[0]


def is_part_owner(owner: bytes) -> bool:
    """Whether the owner of a reference is a part."""
    return owner[:1] == b"p"


def upload_of_part_owner(owner: bytes) -> tuple[bytes, int]:
    """Id of the upload, and the number, of an owner that is a part."""
    return owner[1:-4], int.from_bytes(owner[-4:], "big")


def deletion(time_ms: int, content: bytes) -> bytes:
    return DELETIONS + time_ms.to_bytes(8, "big") + content


def content_of_deletion(row_key: bytes) -> bytes:
    return row_key[9:]


def unpersisted_of(worker_id: str) -> bytes:
    """Prefix of all contents that a worker holds and the under-store does not."""
    return b"q" + escape(worker_id)


def unpersisted(worker_id: str, content: bytes) -> bytes:
    return unpersisted_of(worker_id) + content


def content_of_unpersisted(row_key: bytes) -> bytes:
    return row_key[-16:]


# ---------------------------------------------------------------------------------------------- the others


def due_work(time_ms: int, kind: bytes, identity: bytes) -> bytes:
    """`kind` is one letter, `identity` what the work is about."""
    return DUE_WORK + time_ms.to_bytes(8, "big") + kind + identity


def mutation(mutation_id: bytes) -> bytes:
    return MUTATIONS + mutation_id


def mount(mount_id: bytes) -> bytes:
    return MOUNTS + mount_id


def mount_generation(mount_id: bytes) -> bytes:
    return b"mg" + mount_id


def local_objects(bucket_id: bytes) -> bytes:
    """Prefix of all local objects of a mounted bucket; the rest of each key is the object's key in UTF-8."""
    return LOCAL_OBJECTS + bucket_id


def local_object(bucket_id: bytes, key: str) -> bytes:
    return LOCAL_OBJECTS + bucket_id + key.encode()


def key_of_local_object(row_key: bytes) -> str:
    return row_key[9:].decode()


def job(job_id: bytes) -> bytes:
    return JOBS + job_id


def job_failures(job_id: bytes) -> bytes:
    return b"jf" + job_id


def rules_of(bucket_id: bytes) -> bytes:
    """Prefix of all rules of a bucket."""
    return RULES + bucket_id


def rule(bucket_id: bytes, kind: bytes, key: str) -> bytes:
    """`kind` is one letter: whether it is of one key or of all below a prefix, it has to tell, too."""
    return rules_of(bucket_id) + kind + key.encode()


def text_of_local(row_key: bytes) -> str:
    """The object's key in the key of a row of a local object."""
    return row_key[9:].decode()


def node(worker_id: str) -> bytes:
    return NODES + worker_id.encode()


def user_by_name(name: str) -> bytes:
    return USERS_BY_NAME + name.encode()


def user_by_access_key(access_key: str) -> bytes:
    return b"ia" + access_key.encode()


def user_by_canonical_id(canonical_id: str) -> bytes:
    return b"ic" + canonical_id.encode()
