"""All metrics of one process, in Prometheus' text format."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from zerohop import __version__
from zerohop.metrics.families import gauges

__all__ = ["Exposition"]


class Exposition:
    """The collectors of a process: its own are added by `add`, those that every process has are there."""

    def __init__(self, process: str) -> None:
        """`process` is the kind: `master`, `worker` or `proxy`."""
        self._registry = CollectorRegistry(auto_describe=False)
        self.add(_BuildInfo(process))
        ProcessCollector(registry=self._registry)  # process_open_fds, process_resident_memory_bytes, ...

    def add(self, collector: Collector) -> None:
        """Its `collect` is called at each scrape, on the event loop: it must not take long."""
        self._registry.register(collector)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics now, and their content type; `accept` is the header of the request."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type


class _BuildInfo(Collector):
    def __init__(self, process: str) -> None:
        self._process = process

    def collect(self) -> Iterator[Metric]:
        """A constant."""
        yield gauges(
            "zerohop_build_info",
            "Always 1: version and kind of the process are in the labels.",
            ("process", "version", "python"),
            [((self._process, __version__, platform.python_version()), 1)],
        )
