"""One more proxy of a running cluster, whose S3 port speaks https."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.support.cluster import Cluster
from tests.tls.certificates import Authority

__all__ = ["proxy_over_https"]

_READY: Final = re.compile(r"ready (https://\S+)")
_PATIENCE_S: Final = 60


@contextmanager
def proxy_over_https(cluster: Cluster, authority: Authority) -> Iterator[str]:
    """Runs it for as long as the context lasts, which gives its endpoint; it must end cleanly."""
    process = subprocess.Popen(
        [
            *(cluster.python, "-m", "zerohop.cli", "proxy"),
            *("--master", cluster.running.master, "--port", "0"),
            *("--tls-cert", str(authority.certificate), "--tls-key", str(authority.key)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = _READY.search(line)
        assert ready, f"the proxy said {line!r}"
        yield ready[1]
        process.terminate()
        assert process.wait(_PATIENCE_S) == 0
    finally:
        process.kill()
        process.communicate(timeout=_PATIENCE_S)
