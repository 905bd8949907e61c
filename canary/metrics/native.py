"""Detects native histograms, which are not supported.

A Prometheus that scrapes native histograms stores one series `x` of histograms instead of the
classic `x_count`, `x_sum` and `x_bucket`. Reading them would take some kilobytes per pod and
scrape, so they are not read; Prometheus can keep the classic series as well.
"""

from dataclasses import replace

from canary.core.buckets import LE
from canary.core.series import NoData, Selector

_REMEDY = (
    "native histograms are not supported: configure Prometheus to keep the classic series as well "
    "(scrape_classic_histograms: true; in Prometheus 3 always_scrape_classic_histograms: true)"
)
NATIVE = NoData(f"these series are native histograms; {_REMEDY}", partial=True, splittable=True)


def native_of(selector: Selector) -> Selector | None:
    """Return the native histogram that replaces a classic one's `_count` or `_bucket`.

    None: the metric is not part of a classic histogram.
    """
    for suffix in ("_count", "_bucket"):
        if selector.metric.endswith(suffix):
            matchers = tuple(one for one in selector.matchers if one.label != LE)
            return replace(selector, metric=selector.metric.removesuffix(suffix), matchers=matchers)
    return None


def explain_native(selector: Selector, native: Selector) -> str:
    """Return why a classic series does not exist."""
    return f"{native.metric} is a native histogram and has no {selector.metric}; {_REMEDY}"
