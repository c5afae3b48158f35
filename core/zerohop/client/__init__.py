"""The native client: what the proxy, the command line and the benchmarks read and write through."""

from zerohop.client.blocks import BlockSource
from zerohop.client.cluster import ClusterClient
from zerohop.client.open_block import OpenBlock
from zerohop.client.writers import ContentSink, ContentWriters

__all__ = ["BlockSource", "ClusterClient", "ContentSink", "ContentWriters", "OpenBlock"]
