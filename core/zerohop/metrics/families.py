"""Prometheus metrics from plain numbers, in one call each. Names end in `_total` for counters, else in their unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from zerohop.metrics.histogram import Histogram

__all__ = ["counter", "counters", "gauge", "gauges", "histograms"]

Labelled = Iterable[tuple[Sequence[str], float]]


def counter(name: str, doc: str, value: float) -> Metric:
    """A counter without labels."""
    return CounterMetricFamily(name, doc, value=value)


def counters(name: str, doc: str, labels: Sequence[str], values: Labelled) -> Metric:
    """A counter with labels: (label values, value) for each."""
    family = CounterMetricFamily(name, doc, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family


def gauge(name: str, doc: str, value: float) -> Metric:
    """A gauge without labels."""
    return GaugeMetricFamily(name, doc, value=value)


def gauges(name: str, doc: str, labels: Sequence[str], values: Labelled) -> Metric:
    """A gauge with labels."""
    family = GaugeMetricFamily(name, doc, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family


def histograms(name: str, doc: str, label: str, values: Mapping[str, Histogram]) -> Metric:
    """Histograms by one label; without a label (`""`), the one of `values`."""
    family = HistogramMetricFamily(name, doc, labels=(label,) if label else ())
    for label_value, histogram in values.items():
        family.add_metric((label_value,) if label else (), histogram.buckets(), sum_value=histogram.total)
    return family
