"""Domain errors of zerohop: one tree, which knows nothing of HTTP, RPC frames or exit codes.

The edges translate: `zerohop_proxy.s3_errors` maps each class to an S3 error code, `zerohop.rpc` carries
`code`, `message` and `details` over the wire and raises the same class at the caller, and the CLI maps
`code` to an exit status. A test walks every class, so that none is left unmapped.

`retryable` answers one question: may the *same* call be sent again, unchanged, with hope? An error whose
outcome is not known (`OutcomeUnknown`) is not retryable in that sense: a mutation may only be repeated with
the mutation id that it was first sent with.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["ZerohopError", "all_error_classes", "error_class"]


class ZerohopError(Exception):
    """Root of the tree. `message` says what was wrong and what to do; `details` are facts for machines."""

    code: ClassVar[str] = "Internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", **details: str) -> None:
        super().__init__(message or type(self).__doc__ or self.code)
        self.message: str = str(self.args[0])
        self.details: dict[str, str] = details


class Internal(ZerohopError):
    """A defect or a state that should not exist. The log of the process that answered has the cause."""


# ---------------------------------------------------------------------------------------------- the caller


class InvalidRequest(ZerohopError):
    """The request contradicts itself or breaks a documented limit."""

    code = "InvalidRequest"


class ConfigError(ZerohopError):
    """The configuration holds an unknown key or a value that cannot be used."""

    code = "ConfigError"


class AccessDenied(ZerohopError):
    """The caller may not do this."""

    code = "AccessDenied"


class StaleUsers(ZerohopError):
    """The caller's copy of the users is older than the master's: refresh it, verify again, then retry."""

    code = "StaleUsers"
    retryable = True


class NotSupported(ZerohopError):
    """The request is understood, but this cluster cannot do it."""

    code = "NotSupported"


# ------------------------------------------------------------------------------------------- the namespace


class NotFound(ZerohopError):
    """What was named does not exist."""

    code = "NotFound"


class BucketNotFound(NotFound):
    """There is no bucket of that name."""

    code = "BucketNotFound"


class KeyNotFound(NotFound):
    """There is no object under that key."""

    code = "KeyNotFound"


class VersionNotFound(NotFound):
    """The object has no version of that id."""

    code = "VersionNotFound"


class UploadNotFound(NotFound):
    """There is no such multipart upload: it was completed or aborted, or never existed."""

    code = "UploadNotFound"


class UserNotFound(NotFound):
    """There is no such user or access key."""

    code = "UserNotFound"


class MountNotFound(NotFound):
    """There is no mount of that name."""

    code = "MountNotFound"


class JobNotFound(NotFound):
    """There is no job of that id."""

    code = "JobNotFound"


class OriginNeeded(ZerohopError):
    """The bucket is mounted, and its origin has to be asked: the worker that owns the key does that.

    Details: `mount` (hex of the mount id), and `row_version` of the row that is known, "0" for none.
    """

    code = "OriginNeeded"


class BucketAlreadyExists(ZerohopError):
    """The bucket name is taken by another user."""

    code = "BucketAlreadyExists"


class BucketAlreadyOwned(ZerohopError):
    """The bucket exists and belongs to the caller."""

    code = "BucketAlreadyOwned"


class BucketNotEmpty(ZerohopError):
    """The bucket still holds objects or versions."""

    code = "BucketNotEmpty"


class UserAlreadyExists(ZerohopError):
    """The user name, access key or canonical id is taken."""

    code = "UserAlreadyExists"


class InvalidPart(ZerohopError):
    """A listed part was never uploaded, or its ETag is another one."""

    code = "InvalidPart"


class InvalidPartOrder(ZerohopError):
    """Parts must be listed in ascending order of their numbers."""

    code = "InvalidPartOrder"


class PartTooSmall(ZerohopError):
    """A part other than the last is smaller than the minimum of 5 MiB."""

    code = "PartTooSmall"


class KeyTooLong(ZerohopError):
    """The origin of a mount cannot hold the key: it has the mount's prefix before it there."""

    code = "KeyTooLong"


class PreconditionFailed(ZerohopError):
    """A condition of the request does not hold. `details["condition"]` names the header."""

    code = "PreconditionFailed"


class NotModified(ZerohopError):
    """The object has not changed since the state that the caller holds."""

    code = "NotModified"


class NeedsBytes(ZerohopError):
    """The copy cannot be made by reference: the caller must read the source and write the bytes."""

    code = "NeedsBytes"


class OperationConflict(ZerohopError):
    """Concurrent mutations of one name kept winning. Nothing was changed; try again."""

    code = "OperationConflict"
    retryable = True


# ------------------------------------------------------------------------------------- the key-value store


class Conflict(ZerohopError):
    """A condition of a commit does not hold any more; nothing was written. Read again, then retry."""

    code = "Conflict"
    retryable = True


class TooLarge(ZerohopError):
    """A commit or value is larger than the store accepts."""

    code = "TooLarge"


class LeaseLost(ZerohopError):
    """The lease is held by another, or has been taken over since."""

    code = "LeaseLost"


class StoreFailed(ZerohopError):
    """The metadata store could not do it (disk full, I/O error); nothing was written."""

    code = "StoreFailed"
    retryable = True


class FormatTooNew(ZerohopError):
    """The data was written by a newer version of zerohop: run that version, or choose another folder."""

    code = "FormatTooNew"


class DataFolderInUse(ZerohopError):
    """Another process holds the data folder."""

    code = "DataFolderInUse"


# --------------------------------------------------------------------------------------------- the workers


class NoWorker(ZerohopError):
    """No live worker can take the request now."""

    code = "NoWorker"
    retryable = True


class SessionFenced(ZerohopError):
    """The worker that took the bytes has registered anew since; what it had not committed is void. Retry."""

    code = "SessionFenced"
    retryable = True


class BlockNotFound(ZerohopError):
    """The worker does not hold the block, and may not fetch it."""

    code = "BlockNotFound"


class ContentNotFound(NotFound):
    """The content is neither cached nor in the under-store."""

    code = "ContentNotFound"


class ContentLost(ZerohopError):
    """The only copies of the content were on workers that are lost, or its bytes are damaged beyond repair."""

    code = "ContentLost"


class Corrupt(ZerohopError):
    """Bytes do not match their checksum."""

    code = "Corrupt"


class OutOfSpace(ZerohopError):
    """No tier and no under-store has room. Free some, or raise the quota."""

    code = "OutOfSpace"
    retryable = True


class UnderStoreFailed(ZerohopError):
    """The under-store refused or failed."""

    code = "UnderStoreFailed"
    retryable = True


class OriginRefused(ZerohopError):
    """The origin of a mount refuses: its credentials, endpoint, bucket or folder are not right (any more)."""

    code = "OriginRefused"


class ObjectArchived(OriginRefused):
    """The origin keeps the object where it cannot be read from: it has to be restored there first."""

    code = "ObjectArchived"


class OriginChanged(ZerohopError):
    """The object at the origin is not the one that was being read. Look it up again."""

    code = "OriginChanged"
    retryable = True


class BodyTooShort(ZerohopError):
    """The body ended before the announced length."""

    code = "BodyTooShort"


# ------------------------------------------------------------------------------------------- the transport


class TransportError(ZerohopError):
    """The call did not come through."""

    code = "TransportError"


class PeerUnavailable(TransportError):
    """The peer cannot be reached; the request was not carried out."""

    code = "PeerUnavailable"
    retryable = True


class OutcomeUnknown(TransportError):
    """The connection was lost, or the deadline passed, after the request was sent: it may have happened."""

    code = "OutcomeUnknown"


class DeadlineExceeded(TransportError):
    """The time-out of the call passed before the peer answered."""

    code = "DeadlineExceeded"


class IncompatiblePeer(TransportError):
    """The peer speaks another version of the protocol: run the same version of zerohop everywhere."""

    code = "IncompatiblePeer"


class PeerRejected(TransportError):
    """The peer does not share the cluster secret."""

    code = "PeerRejected"


class ProtocolViolation(TransportError):
    """The peer sent what the protocol does not allow; the connection was closed."""

    code = "ProtocolViolation"


class UnknownOperation(TransportError):
    """The peer does not know the operation."""

    code = "UnknownOperation"


class Overloaded(TransportError):
    """The process is at its limit of concurrent work; nothing was done."""

    code = "Overloaded"
    retryable = True


def all_error_classes() -> list[type[ZerohopError]]:
    """Every class of the tree, root first, each once."""
    found: list[type[ZerohopError]] = [ZerohopError]
    for cls in found:
        found.extend(sub for sub in cls.__subclasses__() if sub not in found)
    return found


def error_class(code: str) -> type[ZerohopError]:
    """The class whose `code` this is; `Internal` for a code that this version does not know."""
    for cls in all_error_classes():
        if cls.code == code and cls is not ZerohopError:
            return cls
    return Internal
