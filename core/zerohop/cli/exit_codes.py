"""The exit status of every domain error.

The table in docs/internals/client-and-cli.md says the same, and a test compares them.
"""

from __future__ import annotations

from enum import IntEnum

from zerohop import errors
from zerohop.errors import ZerohopError

__all__ = ["EXIT_CODES", "FAILED", "ExitCode", "exit_code"]


class ExitCode(IntEnum):
    """What a script may tell apart. Numbers are never reused."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    DENIED = 4
    UNREACHABLE = 5
    CONFLICT = 6
    RETRY_LATER = 7
    DATA_LOST = 8
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """One line for the documentation."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "failed; also the answer no of `fs test`",
    ExitCode.USAGE: "the command line or the configuration cannot be used",
    ExitCode.NOT_FOUND: "the bucket, object or user does not exist",
    ExitCode.DENIED: "not permitted, or another cluster secret",
    ExitCode.UNREACHABLE: "no cluster answers, or it runs another version",
    ExitCode.CONFLICT: "it exists already, is not empty, or was changed by another",
    ExitCode.RETRY_LATER: "the cluster cannot do it now; the same command may work later",
    ExitCode.DATA_LOST: "bytes are lost or damaged",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C)",
}

FAILED = ExitCode.FAILED

EXIT_CODES: dict[type[ZerohopError], ExitCode] = {
    errors.ZerohopError: ExitCode.FAILED,
    errors.Internal: ExitCode.FAILED,
    errors.InvalidRequest: ExitCode.USAGE,
    errors.ConfigError: ExitCode.USAGE,
    errors.AccessDenied: ExitCode.DENIED,
    errors.StaleUsers: ExitCode.RETRY_LATER,
    errors.NotSupported: ExitCode.FAILED,
    errors.NotFound: ExitCode.NOT_FOUND,
    errors.BucketNotFound: ExitCode.NOT_FOUND,
    errors.KeyNotFound: ExitCode.NOT_FOUND,
    errors.VersionNotFound: ExitCode.NOT_FOUND,
    errors.UploadNotFound: ExitCode.NOT_FOUND,
    errors.UserNotFound: ExitCode.NOT_FOUND,
    errors.MountNotFound: ExitCode.NOT_FOUND,
    errors.JobNotFound: ExitCode.NOT_FOUND,
    errors.OriginNeeded: ExitCode.RETRY_LATER,
    errors.BucketAlreadyExists: ExitCode.CONFLICT,
    errors.BucketAlreadyOwned: ExitCode.CONFLICT,
    errors.BucketNotEmpty: ExitCode.CONFLICT,
    errors.UserAlreadyExists: ExitCode.CONFLICT,
    errors.InvalidPart: ExitCode.FAILED,
    errors.InvalidPartOrder: ExitCode.FAILED,
    errors.PartTooSmall: ExitCode.FAILED,
    errors.KeyTooLong: ExitCode.FAILED,
    errors.PreconditionFailed: ExitCode.CONFLICT,
    errors.NotModified: ExitCode.CONFLICT,
    errors.NeedsBytes: ExitCode.FAILED,
    errors.OperationConflict: ExitCode.CONFLICT,
    errors.Conflict: ExitCode.CONFLICT,
    errors.TooLarge: ExitCode.FAILED,
    errors.LeaseLost: ExitCode.RETRY_LATER,
    errors.StoreFailed: ExitCode.RETRY_LATER,
    errors.FormatTooNew: ExitCode.FAILED,
    errors.DataFolderInUse: ExitCode.CONFLICT,
    errors.NoWorker: ExitCode.RETRY_LATER,
    errors.SessionFenced: ExitCode.RETRY_LATER,
    errors.BlockNotFound: ExitCode.DATA_LOST,
    errors.ContentNotFound: ExitCode.DATA_LOST,
    errors.ContentLost: ExitCode.DATA_LOST,
    errors.Corrupt: ExitCode.DATA_LOST,
    errors.OutOfSpace: ExitCode.RETRY_LATER,
    errors.UnderStoreFailed: ExitCode.RETRY_LATER,
    errors.OriginRefused: ExitCode.FAILED,
    errors.ObjectArchived: ExitCode.FAILED,
    errors.OriginChanged: ExitCode.RETRY_LATER,
    errors.BodyTooShort: ExitCode.FAILED,
    errors.TransportError: ExitCode.UNREACHABLE,
    errors.PeerUnavailable: ExitCode.UNREACHABLE,
    errors.OutcomeUnknown: ExitCode.RETRY_LATER,
    errors.DeadlineExceeded: ExitCode.UNREACHABLE,
    errors.IncompatiblePeer: ExitCode.UNREACHABLE,
    errors.PeerRejected: ExitCode.DENIED,
    errors.ProtocolViolation: ExitCode.UNREACHABLE,
    errors.UnknownOperation: ExitCode.UNREACHABLE,
    errors.Overloaded: ExitCode.RETRY_LATER,
}
"""Every class of the tree; a test fails on one that is missing."""


def exit_code(error: ZerohopError) -> ExitCode:
    """The exit status of an error: that of its class."""
    return EXIT_CODES[type(error)]
