"""Checksums of multipart uploads. Pure.

Source: S3 user guide, "Checking object integrity": CRC64NVME is of the full object only, CRC32 and CRC32C are composite
by default, and hashes, which cannot be combined, are composite only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zerohop.model import PartRecord, UploadRecord
from zerohop_proxy.checksums import (
    ALGORITHMS,
    DEFAULT_ALGORITHM,
    composite_checksum,
    full_object_checksum,
    header_name,
)
from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.xml_in import CompletedPart

__all__ = ["agreed_algorithm", "check_upload_checksum", "checksum_kind", "default_type", "object_checksums"]

_COMPOSITE = "COMPOSITE"
_FULL_OBJECT = "FULL_OBJECT"
_COMBINED = ("CRC32", "CRC32C", "CRC64NVME")
_ONLY = {name: _COMPOSITE for name in ALGORITHMS if name not in _COMBINED} | {"CRC64NVME": _FULL_OBJECT}


def default_type(headers: Mapping[str, str]) -> tuple[str, str]:
    """Algorithm and type of CreateMultipartUpload's headers, ("", "") for none. Raises InvalidRequest."""
    algorithm = headers.get("x-amz-checksum-algorithm", "").upper()
    kind = headers.get("x-amz-checksum-type", "").upper()
    if not algorithm:
        if kind:
            raise S3Error(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )
        return "", ""
    if algorithm not in ALGORITHMS:
        raise S3Error(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            f"[{', '.join(ALGORITHMS)}]",
        )
    only = _ONLY.get(algorithm)
    if kind not in ("", _COMPOSITE, _FULL_OBJECT) or (kind and only is not None and kind != only):
        raise S3Error(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm.",
        )
    return algorithm, kind or only or _COMPOSITE


def checksum_kind(upload: UploadRecord) -> tuple[str, str]:
    """Algorithm and type of the checksum that the object is going to have."""
    if not upload.checksum_algorithm:
        return DEFAULT_ALGORITHM, _FULL_OBJECT
    return upload.checksum_algorithm, upload.checksum_type


def agreed_algorithm(upload: UploadRecord, declared: str) -> None:
    """A part may only declare the checksum that its upload was created with. Raises InvalidRequest."""
    if upload.checksum_algorithm and declared and declared != upload.checksum_algorithm:
        raise _mismatch(upload.checksum_algorithm, declared)


def _mismatch(expected: str, actual: str) -> S3Error:
    return S3Error(
        "InvalidRequest",
        f"Checksum Type mismatch occurred, expected checksum Type: {expected.lower()}, "
        f"actual checksum Type: {actual.lower()}",
    )


def object_checksums(
    upload: UploadRecord,
    parts: Sequence[PartRecord],
    listed: Sequence[CompletedPart] | None,
    expected_size: str | None,
) -> dict[str, str]:
    """The checksum of the object that the listed parts make, by ALGORITHM.

    Raises S3Error InvalidPart (a listed checksum is another one), InvalidRequest (`expected_size`, the value of
    x-amz-mp-object-size, is another one). Parts that do not exist are left for the master to refuse.
    """
    chosen = _chosen(parts, listed)
    size_bytes = sum(part.size_bytes for part in chosen)
    if expected_size is not None and expected_size != str(size_bytes):
        raise S3Error(
            "InvalidRequest",
            f"The provided 'x-amz-mp-object-size' header value {expected_size} does not match what was computed: "
            f"{size_bytes}",
        )
    algorithm, kind = checksum_kind(upload)
    values = [part.checksums.get(algorithm.lower(), "") for part in chosen]
    if not chosen or not all(values):
        return {}
    if kind == _COMPOSITE:
        return {algorithm: composite_checksum(algorithm, values)}
    sizes = [part.size_bytes for part in chosen]
    return {algorithm: full_object_checksum(algorithm, list(zip(values, sizes, strict=True)))}


def _chosen(parts: Sequence[PartRecord], listed: Sequence[CompletedPart] | None) -> list[PartRecord]:
    if listed is None:
        return list(parts)
    by_number = {part.number: part for part in parts}
    chosen = []
    for item in listed:
        part = by_number.get(item.part_number)
        if part is None:
            continue
        for algorithm, value in item.checksums.items():
            if part.checksums.get(algorithm.lower(), value) != value:
                raise S3Error("InvalidPart", PartNumber=str(part.number), ETag=part.etag)
        chosen.append(part)
    return chosen


def check_upload_checksum(
    headers: Mapping[str, str], upload: UploadRecord, checksums: Mapping[str, str]
) -> None:
    """Complete may say what the whole object's checksum, and its type, must be. Raises BadDigest, InvalidRequest."""
    algorithm, kind = checksum_kind(upload)
    if headers.get("x-amz-checksum-type", kind).upper() != kind:
        raise S3Error(
            "BadDigest",
            f"The upload was created using the {kind} checksum mode. The complete request must use the same checksum "
            "mode.",
        )
    for other in ALGORITHMS:
        if other != algorithm and header_name(other) in headers:
            raise _mismatch(algorithm, other)
    declared = headers.get(header_name(algorithm))
    if declared is not None and algorithm in checksums and checksums[algorithm] != declared:
        raise S3Error(
            "BadDigest", f"The {algorithm.lower()} you specified did not match the calculated checksum."
        )
