"""A cluster of one proxy that is attacked, and looked at before and after."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.hostile.target import Target
from tests.support.cluster import Cluster

_ENV = {
    # Long enough for a machine that stalls, short enough to wait for.
    "ZEROHOP_PROXY_MIN_PROGRESS_TIMEOUT_S": "4s",
    "ZEROHOP_PROXY_HEADER_TIMEOUT_S": "4s",
}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Ends with the assertion that what the attack took is given back, and that nothing of it was stored."""
    cluster = Cluster(tmp_path_factory.mktemp("hostile"), proxies=1, env=_ENV)
    try:
        cluster.start()
        attacked = Target(cluster)
        attacked.begin()
        yield attacked
        attacked.assert_unharmed()
        cluster.stop()
    finally:
        cluster.kill_whatever_is_left()
