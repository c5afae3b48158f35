"""Which function answers which request of `zerohop.rpc.master_api`: the whole face of the master, as one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from zerohop.errors import Internal
from zerohop.rpc import master_api as m
from zerohop.rpc.call import Call
from zerohop.rpc.message import Request
from zerohop.rpc.server import RpcServer
from zerohop_master import (
    buckets,
    completion,
    copies,
    holders,
    listing,
    manifests,
    mounted,
    objects,
    tags,
    upload_listing,
    uploads,
)
from zerohop_master.cluster import Cluster
from zerohop_master.jobs.service import Jobs
from zerohop_master.mounts import Mounts
from zerohop_master.namespace import Namespace
from zerohop_master.users import Users
from zerohop_master.workers import Workers

__all__ = ["register_handlers"]

R = TypeVar("R")
Handler = Callable[[Any], Coroutine[Any, Any, Any]]


def register_handlers(
    server: RpcServer,
    namespace: Namespace,
    workers: Workers,
    users: Users,
    cluster: Cluster,
    mounts: Mounts,
    jobs: Jobs,
    *,
    reads_in_turn: bool,
) -> None:
    """Registers every request. `reads_in_turn`: reads of the engine never wait, so that short reading operations
    are answered in the turn of the loop that received them, without a task each.
    """
    for request_class, handler in _short_reads(namespace, workers, users, cluster).items():
        if reads_in_turn:
            server.register_sync(request_class, _answered_in_turn(handler))
        else:
            server.register(request_class, _answered(handler))
    for request_class, handler in _others(namespace, workers, users, cluster, mounts, jobs).items():
        server.register(request_class, _answered(handler))


def _of_namespace(
    namespace: Namespace, function: Callable[[Namespace, Any], Coroutine[Any, Any, Any]]
) -> Handler:
    return lambda request: function(namespace, request)


def _short_reads(
    namespace: Namespace, workers: Workers, users: Users, cluster: Cluster
) -> dict[type[Request[Any]], Handler]:
    return {
        m.GetBucket: _of_namespace(namespace, buckets.get_bucket),
        m.LookupObject: _of_namespace(namespace, objects.lookup_object),
        m.ReadManifest: _of_namespace(namespace, manifests.read_manifest),
        m.GetUpload: _of_namespace(namespace, uploads.get_upload),
        m.GetContentStates: _of_namespace(namespace, holders.content_states),
        m.GetMounted: _of_namespace(namespace, mounted.get_mounted),
        m.GetCredential: users.credential,
        m.GetUsersById: users.by_id,
        m.WorkerHeartbeat: workers.heartbeat,
        m.ProxyHeartbeat: cluster.proxy_heartbeat,
        m.ProxyGoodbye: cluster.proxy_goodbye,
        m.GetClusterView: cluster.view,
    }


def _others(
    namespace: Namespace, workers: Workers, users: Users, cluster: Cluster, mounts: Mounts, jobs: Jobs
) -> dict[type[Request[Any]], Handler]:
    functions: dict[type[Request[Any]], Callable[[Namespace, Any], Coroutine[Any, Any, Any]]] = {
        m.CreateBucket: buckets.create_bucket,
        m.DeleteBucket: buckets.delete_bucket,
        m.ListBuckets: buckets.list_buckets,
        m.PutObject: objects.put_object,
        m.DeleteObjects: objects.delete_objects,
        m.ListObjects: listing.list_objects,
        m.ListObjectVersions: listing.list_object_versions,
        m.CopyObject: copies.copy_object,
        m.RenameObject: copies.rename_object,
        m.SetTags: tags.set_tags,
        m.CreateUpload: uploads.create_upload,
        m.PutPart: uploads.put_part,
        m.CopyPart: copies.copy_part,
        m.AbortUpload: uploads.abort_upload,
        m.CompleteUpload: completion.complete_upload,
        m.ListParts: upload_listing.list_parts,
        m.ListUploads: upload_listing.list_uploads,
        m.AddHolders: holders.add_holders,
        m.MarkPersisted: holders.mark_persisted,
        m.ListUnpersisted: holders.list_unpersisted,
        m.BeginMounted: mounted.begin_mounted,
        m.CommitMounted: mounted.commit_mounted,
        m.ListLocal: mounted.list_local,
    }
    return {name: _of_namespace(namespace, function) for name, function in functions.items()} | {
        m.AddUser: users.add,
        m.RemoveUser: users.remove,
        m.AddKey: users.add_key,
        m.ChangeKey: users.change_key,
        m.RemoveKey: users.remove_key,
        m.ListUsers: users.all,
        m.AddMount: mounts.add,
        m.ChangeMount: mounts.change,
        m.RemoveMount: mounts.remove,
        m.ListMounts: mounts.list,
        m.GetMount: mounts.secrets,
        m.SyncMount: mounts.sync,
        m.StartJob: jobs.start,
        m.ListJobs: jobs.page,
        m.GetJob: jobs.get,
        m.CancelJob: jobs.cancel,
        m.RegisterWorker: workers.register,
        m.UnregisterWorker: workers.unregister,
        m.ForgetWorker: workers.forget,
        m.GetReport: cluster.report,
    }


def _answered(handler: Handler) -> Callable[[Any, Call], Awaitable[object]]:
    return lambda request, _call: handler(request)


def _answered_in_turn(handler: Handler) -> Callable[[Any, Call], object]:
    def answer(request: Any, _call: Call) -> object:
        running = handler(request)
        try:
            running.send(None)
        except StopIteration as finished:
            return finished.value
        running.close()
        raise Internal("a reading operation had to wait, on an engine whose reads never do")

    return answer
