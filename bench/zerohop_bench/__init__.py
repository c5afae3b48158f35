"""Benchmarks that measure what the proxy adds and how the cluster compares."""
