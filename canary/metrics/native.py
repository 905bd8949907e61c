"""Native histograms: recognized, and refused with a sentence.

A Prometheus that scrapes native histograms files one series `x` of histograms instead of the
classic `x_count`, `x_sum` and `x_bucket`. To read them sample by sample would be some kilobytes for
each pod and scrape, so they are not read: Prometheus can keep the classic series beside them.
"""

from dataclasses import replace

from canary.core.buckets import LE
from canary.core.series import NoData, Selector

_REMEDY = (
    "native histograms are not read: have Prometheus keep the classic series as well "
    "(scrape_classic_histograms: true; in Prometheus 3 always_scrape_classic_histograms: true)"
)
NATIVE = NoData(f"these series are native histograms; {_REMEDY}", partial=True, splittable=True)


def native_of(selector: Selector) -> Selector | None:
    """The native histogram that would stand in the place of a classic one's `_count` or `_bucket`.

    None: the metric is no part of a classic histogram.
    """
    for suffix in ("_count", "_bucket"):
        if selector.metric.endswith(suffix):
            matchers = tuple(one for one in selector.matchers if one.label != LE)
            return replace(selector, metric=selector.metric.removesuffix(suffix), matchers=matchers)
    return None


def refusal(selector: Selector, native: Selector) -> str:
    """Why a classic series is not there."""
    return f"{native.metric} is a native histogram and has no {selector.metric}; {_REMEDY}"
