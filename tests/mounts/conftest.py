"""One remote S3 for all tests of mounts, and the mounts that they want of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.mounts.mounted import Mounted, Site
from tests.mounts.remote import Remote, running_remote
from tests.support.cluster import Cluster


@pytest.fixture(scope="session")
def remote_server() -> Iterator[Remote]:
    with running_remote() as remote:
        yield remote


@pytest.fixture
def remote(remote_server: Remote) -> Iterator[Remote]:
    """Without faults, at the beginning and at the end."""
    remote_server.heal()
    yield remote_server
    remote_server.heal()


@pytest.fixture(scope="session")
def site(cluster: Cluster) -> Site:
    """The shared cluster."""
    return Site(cluster)


@pytest.fixture
def mount(site: Site, remote: Remote) -> Callable[..., Mounted]:
    """Mounts a new bucket of the remote in the shared cluster; arguments are fields of MountInfo."""
    return lambda **changes: site.mount_remote(remote, **changes)


@pytest.fixture
def mounted(mount: Callable[..., Mounted]) -> Mounted:
    """An ordinary mount."""
    return mount()
