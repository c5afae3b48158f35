"""Mounted buckets at a worker: reading them through the cache, and answering for the keys that it owns."""
