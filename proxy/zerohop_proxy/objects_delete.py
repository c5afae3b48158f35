"""DeleteObject and DeleteObjects."""

from __future__ import annotations

from zerohop.errors import KeyNotFound, ZerohopError, error_class
from zerohop.rpc.master_api import DeleteObjects, DeleteOutcome, DeleteTarget, LookupObject, ObjectResult
from zerohop_proxy import xml_out
from zerohop_proxy.answer import Answer
from zerohop_proxy.body_in import parsed, read_document
from zerohop_proxy.conditions import delete_condition, parse_http_date
from zerohop_proxy.params import is_version_id, parse_version_id
from zerohop_proxy.request import S3Request
from zerohop_proxy.row_conditions import commit_on
from zerohop_proxy.s3_errors import S3Error, from_domain_error
from zerohop_proxy.xml_in import ObjectIdentifier, parse_delete

__all__ = ["delete_object", "delete_objects"]


async def delete_object(request: S3Request) -> Answer:
    """DeleteObject: a key that does not exist is deleted with success, unless a condition says otherwise."""
    condition = delete_condition(request.headers)
    mutation = request.new_mutation()
    version_id = parse_version_id(request.query)

    async def commit(expected: int | None) -> DeleteOutcome:
        target = DeleteTarget(key=request.key, version_id=version_id, expected_version=expected)
        result = await request.call(
            lambda caller: DeleteObjects(
                caller=caller, bucket=request.bucket, targets=(target,), mutation=mutation
            )
        )
        outcome = result.outcomes[0]
        if outcome.error:
            raise error_class(outcome.error)(outcome.message)
        return outcome

    outcome = await commit_on(request, condition, commit)
    headers = []
    if outcome.delete_marker:
        headers.append(("x-amz-delete-marker", "true"))
    shown = outcome.delete_marker_version_id or version_id
    if shown:
        headers.append(("x-amz-version-id", shown))
    return Answer(204, headers)


async def delete_objects(request: S3Request) -> Answer:
    """DeleteObjects: each key succeeds or fails for itself. The body must be vouched for, as AWS asks."""
    document, body = await read_document(request)
    if "content-md5" not in request.headers and not body.declared_algorithm:
        raise S3Error("InvalidRequest", "Missing required header for this request: Content-MD5")
    wanted = await parsed(request, parse_delete, document)
    outcomes: list[DeleteOutcome] = []
    targets: list[DeleteTarget] = []
    for item in wanted.objects:
        if item.version_id is not None and not is_version_id(item.version_id):
            outcomes.append(DeleteOutcome(key=item.key, version_id=item.version_id, error="VersionNotFound"))
            continue
        if item.etag is None and item.size_bytes is None and item.last_modified is None:
            targets.append(DeleteTarget(key=item.key, version_id=item.version_id or ""))
            continue
        target = await _conditional_target(request, item)
        if isinstance(target, DeleteTarget):
            targets.append(target)
        else:
            outcomes.append(target)
    mutation = request.new_mutation()
    result = await request.call(
        lambda caller: DeleteObjects(
            caller=caller, bucket=request.bucket, targets=tuple(targets), mutation=mutation
        ),
        timeout_s=30.0,
    )
    outcomes.extend(result.outcomes)
    done = [_deleted(outcome) for outcome in outcomes if not outcome.error]
    failed = [_failed(outcome) for outcome in outcomes if outcome.error]
    return Answer.xml(xml_out.delete_result(done, failed, quiet=wanted.quiet))


async def _conditional_target(request: S3Request, item: ObjectIdentifier) -> DeleteTarget | DeleteOutcome:
    """The target on the version that the conditions of one Object element hold for, else why not."""
    try:
        found: ObjectResult = await request.call(
            lambda caller: LookupObject(
                caller=caller,
                bucket=request.bucket,
                key=item.key,
                version_id=item.version_id or "",
                with_data=False,
            )
        )
    except KeyNotFound as error:
        return DeleteOutcome(key=item.key, version_id=item.version_id or "", error=error.code)
    record = found.record
    holds = (
        item.etag in (None, "*", record.etag)
        and item.size_bytes in (None, record.size_bytes)
        and _same_second(item.last_modified, record.modified_ms)
    )
    if not holds:
        return DeleteOutcome(key=item.key, version_id=item.version_id or "", error="PreconditionFailed")
    return DeleteTarget(key=item.key, version_id=item.version_id or "", expected_version=found.row_version)


def _same_second(given: str | None, modified_ms: int) -> bool:
    if given is None:
        return True
    seconds = parse_http_date(given)
    return seconds is not None and seconds == modified_ms // 1000


def _deleted(outcome: DeleteOutcome) -> xml_out.Deleted:
    return xml_out.Deleted(
        outcome.key, outcome.version_id, outcome.delete_marker, outcome.delete_marker_version_id
    )


def _failed(outcome: DeleteOutcome) -> xml_out.DeleteError:
    error: ZerohopError = error_class(outcome.error)(outcome.message)
    mapped = from_domain_error(error)
    return xml_out.DeleteError(outcome.key, mapped.code, mapped.message, outcome.version_id)
